// Where keys and values lie, in both types.
#include "engine/model/kv_cache.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

ModelConfig shape() {
  ModelConfig config;
  config.layers = 3;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.value_dim = 8;
  return config;
}

float element(ByteSpan bytes, KvType type, uint64_t index) {
  if (type == KvType::kF32) return load<float>(bytes.data() + index * 4);
  return half_to_float(load<uint16_t>(bytes.data() + index * 2));
}

// Every value goes where the layout says, and nothing else is touched.
TEST(KvCache, LaysOutKeysInGroupsOfEightAndValuesInRows) {
  for (KvType type : {KvType::kF32, KvType::kF16}) {
    KvCache cache(shape(), type, 300);
    ASSERT_EQ(cache.capacity(), 512u);
    CounterRandom random(7);
    // Whole numbers that a half can hold, different for each place.
    auto value = [&](uint32_t layer, uint32_t head, uint32_t p, uint32_t d) {
      return static_cast<float>(random.bits(layer * 1000 + head, p * 100 + d) % 4001) - 2000;
    };
    auto for_all = [&](auto&& use) {
      for (uint32_t layer = 0; layer < 3; ++layer) {
        for (uint32_t head = 0; head < 2; ++head) {
          for (uint32_t p = 0; p < 300; ++p) use(layer, head, p);
        }
      }
    };
    for_all([&](uint32_t layer, uint32_t head, uint32_t p) {
      float key[16];
      float values[8];
      for (uint32_t d = 0; d < 16; ++d) key[d] = value(layer, head, p, d);
      for (uint32_t d = 0; d < 8; ++d) values[d] = value(layer, head, p, 50 + d);
      cache.put(layer, head, p, key, values);
    });
    for_all([&](uint32_t layer, uint32_t head, uint32_t p) {
      AttentionChunk chunk = cache.chunk(layer, head, p / kAttentionChunk);
      ASSERT_EQ(chunk.type, type);
      ASSERT_EQ(chunk.head_dim, 16u);
      ASSERT_EQ(chunk.value_dim, 8u);
      uint32_t q = p % kAttentionChunk;
      ByteSpan keys(chunk.keys, SIZE_MAX);
      ByteSpan values(chunk.values, SIZE_MAX);
      for (uint32_t d = 0; d < 16; ++d) {
        ASSERT_EQ(element(keys, type, q / 8 * 128 + d * 8 + q % 8), value(layer, head, p, d));
      }
      for (uint32_t d = 0; d < 8; ++d) {
        ASSERT_EQ(element(values, type, q * 8 + d), value(layer, head, p, 50 + d));
      }
    });
  }
}

TEST(KvCache, RoundsToTheNearestHalf) {
  ModelConfig config = shape();
  KvCache cache(config, KvType::kF16, 1);
  std::vector<float> key(16, 1.0F + 0x1p-11F);     // halfway between two halves: to even
  std::vector<float> value(8, 1.0F + 0x1.8p-10F);  // likewise, upwards
  cache.put(0, 0, 0, key.data(), value.data());
  AttentionChunk chunk = cache.chunk(0, 0, 0);
  EXPECT_EQ(element({chunk.keys, 2}, KvType::kF16, 0), 1.0F);
  EXPECT_EQ(element({chunk.values, 2}, KvType::kF16, 0), 1.0F + 0x1p-9F);
}

TEST(KvCache, KnowsItsSize) {
  // 3 layers x 2 heads x (16 + 8) values x 512 positions.
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kF32, 257), 3u * 2 * 24 * 512 * 4);
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kF16, 512), 3u * 2 * 24 * 512 * 2);
}

TEST(KvCache, CountsPositions) {
  KvCache cache(shape(), KvType::kF32, 256);
  EXPECT_EQ(cache.length(), 0u);
  cache.set_length(256);
  EXPECT_EQ(cache.length(), 256u);
  cache.set_length(3);
  EXPECT_EQ(cache.length(), 3u);
}

TEST(KvCacheDeathTest, RefusesPositionsBeyondItsEnd) {
  KvCache cache(shape(), KvType::kF32, 256);
  std::vector<float> values(16);
  EXPECT_DEATH(cache.set_length(257), "length");
  EXPECT_DEATH(cache.put(0, 0, 256, values.data(), values.data()), "position");
  EXPECT_DEATH((void)cache.chunk(0, 0, 1), "capacity");
}

}  // namespace
}  // namespace potluck
