// Lossless packing of fixed-point sums: per group of 32 values one byte with the bit width, then
// the 32 values in two's complement of that width, least significant bit first. The sums of a layer
// are close in magnitude, so about 22 of 64 bits are left. Any thread.
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace potluck {

inline constexpr uint32_t kSumGroup = 32;

// The most bytes that so many values can take.
constexpr uint64_t largest_packed_bytes(uint64_t values) {
  return values * sizeof(int64_t) + (values + kSumGroup - 1) / kSumGroup;
}

// Appends the packed values; the last group may be short.
void pack_sums(std::span<const int64_t> sums, ByteVector* out);

// Adds the packed values onto `sums`: exactly sums.size() values must be there, and nothing more.
// Fails (kCorrupt) without touching `sums` if the frame is malformed, or if a value exceeds
// `limit` in magnitude: the most that `limit`/kAddendLimit honest addends can sum to.
Status add_packed_sums(ByteSpan packed, int64_t limit, std::span<int64_t> sums);

}  // namespace potluck
