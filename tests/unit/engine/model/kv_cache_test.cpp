// Where keys and values lie, in every type.
#include "engine/model/kv_cache.h"

#include <algorithm>

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

// Every number comes back from where the kernels will look for it, and none covers another.
TEST(KvCache, KeepsEveryPositionOfEveryHead) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    KvCache cache(shape(), type, 300);
    ASSERT_EQ(cache.capacity(), 300u);
    CounterRandom random(7);
    // Whole numbers that a half can hold, and an 8-bit block too; different for each place.
    auto value = [&](uint32_t layer, uint32_t head, uint32_t p, uint32_t d) {
      if (d % 50 == 0) return 127.0F;  // the block's scale is 1
      return static_cast<float>(random.bits(layer * 1000 + head, p * 100 + d) % 255) - 127;
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
      for (uint32_t d = 0; d < 16; ++d) {
        ASSERT_EQ(key_at(type, 16, chunk.keys, q, d), value(layer, head, p, d));
      }
      for (uint32_t d = 0; d < 8; ++d) {
        ASSERT_EQ(value_at(type, 8, chunk.values, q, d), value(layer, head, p, 50 + d));
      }
    });
  }
}

// What belongs to a chunk lies together, so that memory is taken as the context grows.
TEST(KvCache, GrowsChunkByChunk) {
  KvCache cache(shape(), KvType::kF16, 1024);
  const std::byte* first = cache.chunk(0, 0, 0).keys;
  uint64_t chunk_bytes = KvCache::bytes_for(shape(), KvType::kF16, kAttentionChunk);
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    for (uint32_t layer = 0; layer < 3; ++layer) {
      for (uint32_t head = 0; head < 2; ++head) {
        auto offset = static_cast<uint64_t>(cache.chunk(layer, head, chunk).keys - first);
        EXPECT_EQ(offset / chunk_bytes, chunk);
      }
    }
  }
}

// Across a border of chunks, into a shorter cache, and nothing of the source changes.
TEST(KvCache, CopiesWhatTwoConversationsShare) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    KvCache from(shape(), type, 1024);
    std::vector<float> values(16);
    for (uint32_t p = 0; p < 600; ++p) {
      std::ranges::fill(values, static_cast<float>(p % 100));
      for (uint32_t layer = 0; layer < 3; ++layer) {
        for (uint32_t head = 0; head < 2; ++head) {
          from.put(layer, head, p, values.data(), values.data());
        }
      }
    }
    from.set_length(600);
    EXPECT_EQ(from.copyable(500), 500u);
    EXPECT_EQ(from.copyable(700), 600u);
    KvCache to(shape(), type, 512);
    EXPECT_EQ(to.copy_prefix(from, 500), 500u);
    EXPECT_EQ(to.length(), 500u);
    EXPECT_EQ(from.length(), 600u);
    for (uint32_t p = 0; p < 500; ++p) {
      AttentionChunk chunk = to.chunk(2, 1, p / kAttentionChunk);
      AttentionChunk source = from.chunk(2, 1, p / kAttentionChunk);
      uint32_t q = p % kAttentionChunk;
      ASSERT_EQ(key_at(type, 16, chunk.keys, q, 15), key_at(type, 16, source.keys, q, 15));
      ASSERT_EQ(value_at(type, 8, chunk.values, q, 7), value_at(type, 8, source.values, q, 7));
    }
    EXPECT_NEAR(key_at(type, 16, to.chunk(0, 0, 1).keys, 499 % 256, 3), 99, 1);
  }
}

TEST(KvCache, KnowsItsSize) {
  // 3 layers x 2 heads x (16 + 8) values x 512 positions.
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kF32, 257), 3u * 2 * 24 * 512 * 4);
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kF16, 512), 3u * 2 * 24 * 512 * 2);
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kQ8_0, 512), 3u * 2 * (24 + 2 * 2) * 512);
  EXPECT_EQ(KvCache::bytes_per_position(shape(), KvType::kF16), 3u * 2 * 24 * 2);
  EXPECT_EQ(KvCache::fixed_bytes(shape()), 0u);
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
  KvCache other(shape(), KvType::kF32, 512);
  other.set_length(300);
  EXPECT_DEATH((void)cache.copy_prefix(other, 300), "capacity");
  EXPECT_DEATH((void)other.copy_prefix(cache, 1), "length");
  EXPECT_DEATH(cache.put(0, 0, 256, values.data(), values.data()), "position");
  EXPECT_DEATH((void)cache.chunk(0, 0, 1), "capacity");
}

}  // namespace
}  // namespace potluck
