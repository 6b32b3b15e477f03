// Eight rows side by side, as panels have them, and back: a vector of each of eight rows becomes
// the first elements of all rows, then the second ones, and so on. In vectors that every processor
// has: what is moved so is bound by memory, not by their width. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck {

// Sixteen bytes, handled as two words of eight.
typedef uint64_t Sixteen __attribute__((vector_size(16)));

namespace row_transpose {

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint8_t EightBytes __attribute__((vector_size(8)));
typedef uint16_t Halves __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(16)));

// Pairs of the lower, or upper, elements of a and b.
inline Bytes low_pairs(Bytes a, Bytes b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Bytes high_pairs(Bytes a, Bytes b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}
inline EightBytes low_pairs(EightBytes a, EightBytes b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline EightBytes high_pairs(EightBytes a, EightBytes b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
inline Halves low_pairs(Halves a, Halves b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline Halves high_pairs(Halves a, Halves b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
inline Words low_pairs(Words a, Words b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
inline Words high_pairs(Words a, Words b) {
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

// The bytes of two words by turns.
inline Sixteen in_turn(uint64_t even, uint64_t odd) {
  return std::bit_cast<Sixteen>(
      low_pairs(std::bit_cast<Bytes>(Sixteen{even, 0}), std::bit_cast<Bytes>(Sixteen{odd, 0})));
}

// Interleaving each row with the one four behind it, three times, transposes them.
template <class Vector>
void transpose(const std::byte* rows, uint64_t stride, std::byte* out,
               uint64_t out_stride = sizeof(Vector)) {
  constexpr uint32_t kRows = 8;
  Vector now[kRows];
  Vector next[kRows];
  for (uint32_t i = 0; i < kRows; ++i) now[i] = load<Vector>(rows + i * stride);
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < kRows / 2; ++i) {
      next[2 * i] = low_pairs(now[i], now[i + 4]);
      next[2 * i + 1] = high_pairs(now[i], now[i + 4]);
    }
    std::copy_n(next, kRows, now);
  }
  for (uint32_t i = 0; i < kRows; ++i) store(out + i * out_stride, now[i]);
}

}  // namespace row_transpose

// `stride` bytes lie between the rows; `out` takes 128 bytes.
inline void transpose_bytes(const void* rows, uint64_t stride, std::byte* out) {
  row_transpose::transpose<row_transpose::Bytes>(static_cast<const std::byte*>(rows), stride, out);
}
inline void transpose_halves(const void* rows, uint64_t stride, std::byte* out) {
  row_transpose::transpose<row_transpose::Halves>(static_cast<const std::byte*>(rows), stride, out);
}
inline void transpose_words(const void* rows, uint64_t stride, std::byte* out) {
  row_transpose::transpose<row_transpose::Words>(static_cast<const std::byte*>(rows), stride, out);
}

}  // namespace potluck
