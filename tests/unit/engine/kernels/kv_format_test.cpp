// How numbers of a KV cache are rounded and where they lie, type by type.
#include "engine/kernels/kv_format.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/kernels/block_format.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

TEST(KvFormat, CountsBytes) {
  EXPECT_EQ(kv_bytes(KvType::kF32, 40), 160u);
  EXPECT_EQ(kv_bytes(KvType::kF16, 40), 80u);
  EXPECT_EQ(kv_bytes(KvType::kQ8_0, 128), 136u);
  EXPECT_EQ(kv_bytes(KvType::kQ8_0, 40), 40u + 2 * 2);  // a short block has a scale, too
  EXPECT_EQ(kv_bytes(KvType::kQ8_0, 24), 24u + 2);
}

// Storing every position in any order leaves each of them whole, and fills the memory to its end.
TEST(KvFormat, KeepsPositionsApart) {
  constexpr uint32_t kPositions = 24;
  RandomDraws draws(1);
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    for (uint32_t dimensions : {8u, 24u, 32u, 40u, 80u, 128u}) {
      ByteVector keys(kPositions * kv_bytes(type, dimensions));
      ByteVector values(keys.size());
      std::vector<std::vector<float>> rows(kPositions);
      for (uint32_t i = 0; i < kPositions; ++i) {
        uint32_t p = i * 7 % kPositions;
        rows[p] = random_floats(dimensions, 2, draws);
        store_key(type, dimensions, rows[p].data(), p, keys.data());
        store_value(type, dimensions, rows[p].data(), p, values.data());
      }
      for (uint32_t p = 0; p < kPositions; ++p) {
        for (uint32_t d = 0; d < dimensions; ++d) {
          float key = key_at(type, dimensions, keys.data(), p, d);
          EXPECT_EQ(key, value_at(type, dimensions, values.data(), p, d));
          EXPECT_NEAR(key, rows[p][d], type == KvType::kQ8_0 ? 2.0 / 127 * 0.51 : 1e-3);
        }
      }
    }
  }
}

// Values that stand in the keys come out as they were rounded there; whole groups are moved.
TEST(KvFormat, CopiesValuesOutOfKeys) {
  constexpr uint32_t kPositions = 32;
  constexpr uint32_t kKey = 88;
  RandomDraws draws(2);
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    ByteVector keys(kPositions * kv_bytes(type, kKey));
    for (uint32_t p = 0; p < kPositions; ++p) {
      store_key(type, kKey, random_floats(kKey, 2, draws).data(), p, keys.data());
    }
    for (uint32_t dimensions : {8u, 32u, 40u, 64u, 80u, 88u}) {
      const uint64_t row = kv_bytes(type, dimensions);
      const ByteVector untouched(kPositions * row, std::byte{0x5a});
      ByteVector values = untouched;
      copy_values(type, kKey, dimensions, keys.data(), 11, 17, values.data());
      for (uint32_t p = 0; p < kPositions; ++p) {
        const bool is_moved = p >= 8 && p < 24;
        for (uint32_t d = 0; d < dimensions && is_moved; ++d) {
          ASSERT_EQ(value_at(type, dimensions, values.data(), p, d),
                    key_at(type, kKey, keys.data(), p, d));
        }
        if (is_moved) continue;
        const auto begin = static_cast<ptrdiff_t>(p * row);
        ASSERT_TRUE(
            std::equal(values.begin() + begin, values.begin() + begin + row, untouched.begin()));
      }
    }
  }
}

// The layout of 8-bit blocks, byte by byte: 40 dimensions are a block of 32 and one of 8.
TEST(KvFormat, LaysOutBlocks) {
  std::vector<float> x(40);
  for (uint32_t d = 0; d < 40; ++d) x[d] = static_cast<float>(d) - 20;
  x[0] = -63.5F;  // scale 0.5
  x[39] = 127;    // scale 1
  ByteVector values(2 * kv_bytes(KvType::kQ8_0, 40));
  store_value(KvType::kQ8_0, 40, x.data(), 1, values.data());
  const std::byte* row = values.data() + 44;
  EXPECT_EQ(load<uint16_t>(row), float_to_half(0.5F));
  EXPECT_EQ(load<int8_t>(row + 2), -127);
  EXPECT_EQ(load<int8_t>(row + 2 + 5), -30);
  EXPECT_EQ(load<uint16_t>(row + 34), float_to_half(1.0F));
  EXPECT_EQ(load<int8_t>(row + 36 + 7), 127);
  ByteVector keys(16 * kv_bytes(KvType::kQ8_0, 40));
  store_key(KvType::kQ8_0, 40, x.data(), 11, keys.data());
  const std::byte* group = keys.data() + 8 * 44;
  EXPECT_EQ(load<uint16_t>(group + 2 * 3), float_to_half(0.5F));
  EXPECT_EQ(load<int8_t>(group + 16 + 5 * 8 + 3), -30);
  EXPECT_EQ(load<uint16_t>(group + 8 * 34 + 2 * 3), float_to_half(1.0F));
  EXPECT_EQ(load<int8_t>(group + 8 * 34 + 16 + 7 * 8 + 3), 127);
}

float stored(KvType type, std::vector<float> x, uint32_t dimension) {
  x.resize(8);
  ByteVector bytes(kv_bytes(type, 8));
  store_value(type, 8, x.data(), 0, bytes.data());
  return value_at(type, 8, bytes.data(), 0, dimension);
}

TEST(KvFormat, RoundsToNearestEven) {
  EXPECT_EQ(stored(KvType::kF16, {1.0F + 0x1p-11F}, 0), 1.0F);
  EXPECT_EQ(stored(KvType::kF16, {1.0F + 0x1.8p-10F}, 0), 1.0F + 0x1p-9F);
  EXPECT_EQ(stored(KvType::kQ8_0, {127, 2.5F}, 1), 2);
  EXPECT_EQ(stored(KvType::kQ8_0, {127, 3.5F, -3.5F}, 1), 4);
  EXPECT_EQ(stored(KvType::kQ8_0, {127, 3.5F, -3.5F}, 2), -4);
}

TEST(KvFormat, DefinesUnusualBlocks) {
  EXPECT_EQ(stored(KvType::kQ8_0, {0, 0}, 1), 0);
  EXPECT_EQ(stored(KvType::kQ8_0, {1e-30F, -1e-30F}, 1), 0);
  for (float bad : {INFINITY, -INFINITY, NAN, 1e30F}) {  // the last has no half as its scale
    EXPECT_TRUE(std::isnan(stored(KvType::kQ8_0, {1, bad}, 0))) << bad;
  }
  // The scale is rounded, so the largest may lie a little beyond 127 of it: clamped.
  float amax = 127 * 1.0004F;
  EXPECT_EQ(stored(KvType::kQ8_0, {amax}, 0), 127.0F);
  EXPECT_EQ(stored(KvType::kQ8_0, {127 * 0x1.7p-24F}, 0), 127 * 0x1p-24F);
}

}  // namespace
}  // namespace potluck
