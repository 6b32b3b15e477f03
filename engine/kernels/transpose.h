// Turns eight rows of eight elements into columns. Internal to engine/kernels; pure, any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace potluck {

// to[j][i] = from[i][j] for i, j below 8; rows are so many bytes apart. Interleaving each row with
// the one four behind it, three times, transposes them.
template <class Element>
void transpose_eight(const std::byte* from, uint64_t from_bytes, std::byte* to, uint64_t to_bytes) {
  constexpr uint32_t kSide = 8;
  typedef Element Row __attribute__((vector_size(kSide * sizeof(Element))));
  Row now[kSide];
  Row next[kSide];
  // Not load() and store(): a vector wider than the processor's cannot be returned.
  for (uint32_t i = 0; i < kSide; ++i) std::memcpy(&now[i], from + i * from_bytes, sizeof(Row));
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < kSide / 2; ++i) {
      const Row& a = now[i];
      const Row& b = now[i + kSide / 2];
      next[2 * i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    }
    std::copy_n(next, kSide, now);
  }
  for (uint32_t i = 0; i < kSide; ++i) std::memcpy(to + i * to_bytes, &now[i], sizeof(Row));
}

}  // namespace potluck
