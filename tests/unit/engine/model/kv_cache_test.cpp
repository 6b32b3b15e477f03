// Where keys and values lie, in every type.
#include "engine/model/kv_cache.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/model/chunk_values.h"

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
    ASSERT_TRUE(cache.extend(300));
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

// Layers may have as many heads as they like.
TEST(KvCache, KeepsLayersThatDiffer) {
  ModelConfig config = shape();
  config.layer_kv_heads = {1, 2, 1};
  EXPECT_EQ(KvCache::bytes_per_position(config, KvType::kF32), 4 * (16 + 8) * sizeof(float));
  KvCache cache(config, KvType::kF32, 1);
  ASSERT_TRUE(cache.extend(1));
  auto for_all = [&](auto&& use) {
    for (uint32_t layer = 0; layer < 3; ++layer) {
      for (uint32_t head = 0; head < config.layer_kv_heads[layer]; ++head) use(layer, head);
    }
  };
  for_all([&](uint32_t layer, uint32_t head) {
    const std::vector<float> key(16, static_cast<float>(10 * layer + head));
    cache.put(layer, head, 0, key.data(), key.data());
  });
  for_all([&](uint32_t layer, uint32_t head) {
    AttentionChunk chunk = cache.chunk(layer, head, 0);
    EXPECT_EQ(key_at(KvType::kF32, 16, chunk.keys, 0, 15), static_cast<float>(10 * layer + head));
    EXPECT_EQ(value_at(KvType::kF32, 8, chunk.values, 0, 7), static_cast<float>(10 * layer + head));
  });
}

// Layers that read what an earlier one has stored take no place; heads may be of several sizes.
TEST(KvCache, KeepsNothingForLayersThatShare) {
  ModelConfig config = shape();
  config.layer_head_dims = {16, 8, 16};
  config.layer_value_dims = {8, 8, 8};
  EXPECT_EQ(KvCache::bytes_per_position(config, KvType::kF32), 2 * (24 + 16 + 24) * sizeof(float));
  config.kv_layers = {0, 1, 0};
  EXPECT_EQ(KvCache::bytes_per_position(config, KvType::kF32), 2 * (24 + 16) * sizeof(float));
  EXPECT_EQ(KvCache::bytes_per_position(config, KvType::kF16), 2 * (24 + 16) * sizeof(uint16_t));
  KvCache cache(config, KvType::kF32, 300);
  ASSERT_TRUE(cache.extend(300));
  for (uint32_t layer : {0U, 1U}) {
    for (uint32_t head : {0U, 1U}) {
      const std::vector<float> key(16, static_cast<float>(10 * layer + head));
      for (uint32_t p : {0U, 299U}) cache.put(layer, head, p, key.data(), key.data());
    }
  }
  for (uint32_t layer : {0U, 1U}) {
    for (uint32_t head : {0U, 1U}) {
      for (uint32_t chunk : {0U, 1U}) {
        AttentionChunk found = cache.chunk(layer, head, chunk);
        const uint32_t size = layer == 0 ? 16 : 8;
        ASSERT_EQ(found.head_dim, size);
        const uint32_t place = chunk == 0 ? 0 : 299 - kAttentionChunk;
        const auto expected = static_cast<float>(10 * layer + head);
        EXPECT_EQ(key_at(KvType::kF32, size, found.keys, place, size - 1), expected);
        EXPECT_EQ(value_at(KvType::kF32, 8, found.values, place, 7), expected);
      }
    }
  }
}

// A latent vector is key and value: it is stored once, and its value is read from the key.
TEST(KvCache, KeepsLatentVectorsOnce) {
  ModelConfig config = shape();
  config.kv_heads = 1;
  config.latent.rank = 8;
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    EXPECT_EQ(KvCache::bytes_per_position(config, type), 3 * kv_bytes(type, 16));
    KvCache cache(config, type, 1);
    ASSERT_TRUE(cache.extend(1));
    for (uint32_t layer = 0; layer < 3; ++layer) {
      std::vector<float> key(16, static_cast<float>(layer));
      key[0] = 127;  // the block's scale is 1
      cache.put(layer, 0, 0, key.data(), nullptr);
    }
    for (uint32_t layer = 0; layer < 3; ++layer) {
      AttentionChunk chunk = cache.chunk(layer, 0, 0);
      ASSERT_EQ(chunk.values, nullptr);
      ChunkValues values;
      const AttentionQuery query{nullptr, 0, 1, nullptr, nullptr};
      values.complete(&chunk, {&query, 1});
      EXPECT_EQ(value_at(type, 8, chunk.values, 0, 7), static_cast<float>(layer));
    }
  }
}

// What belongs to a block lies together, so that memory is taken as the context grows.
TEST(KvCache, GrowsBlockByBlock) {
  KvCache cache(shape(), KvType::kF16, 1024);
  ASSERT_TRUE(cache.extend(1024));
  const std::byte* first = cache.chunk(0, 0, 0).keys;
  uint64_t block_bytes = KvCache::bytes_for(shape(), KvType::kF16, kKvBlockPositions);
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    for (uint32_t layer = 0; layer < 3; ++layer) {
      for (uint32_t head = 0; head < 2; ++head) {
        auto offset = static_cast<uint64_t>(cache.chunk(layer, head, chunk).keys - first);
        EXPECT_EQ(offset / block_bytes, chunk);
      }
    }
  }
}

class SharedKvCache : public testing::TestWithParam<KvType> {
 protected:
  void fill(KvCache& cache, uint32_t end, float value) {
    ASSERT_TRUE(cache.extend(end));
    std::vector<float> values(16, value);
    for (uint32_t p = cache.length(); p < end; ++p) {
      for (uint32_t layer = 0; layer < 3; ++layer) {
        for (uint32_t head = 0; head < 2; ++head) {
          cache.put(layer, head, p, values.data(), values.data());
        }
      }
    }
    cache.set_length(end);
  }
  float at(const KvCache& cache, uint32_t position) const {
    AttentionChunk chunk = cache.chunk(2, 1, position / kAttentionChunk);
    return std::round(key_at(GetParam(), 16, chunk.keys, position % kAttentionChunk, 15));
  }

  std::shared_ptr<KvMemory> memory_ = std::make_shared<KvMemory>(shape(), GetParam(), 6);
};

TEST_P(SharedKvCache, AForkTakesNoMemoryUntilItWrites) {
  KvCache from(shape(), memory_, 1024);
  fill(from, 600, 1);
  EXPECT_EQ(from.copyable(500), 500u);
  EXPECT_EQ(from.copyable(700), 600u);
  KvCache to(shape(), memory_, 1024);
  EXPECT_EQ(to.share_prefix(from, 500), 500u);
  EXPECT_EQ(memory_->taken(), 3u);
  EXPECT_EQ(memory_->held(), 3u);
  EXPECT_EQ(to.chunk(0, 0, 0).keys, from.chunk(0, 0, 0).keys);
  fill(to, 512, 2);
  EXPECT_EQ(memory_->taken(), 4u) << "the block of the fork alone is copied";
  EXPECT_EQ(to.chunk(0, 0, 0).keys, from.chunk(0, 0, 0).keys);
  EXPECT_EQ(at(from, 510), 1);
  EXPECT_EQ(at(to, 499), 1);
  EXPECT_EQ(at(to, 510), 2);
}

// What one writes behind the part that another shares is no concern of that other one.
TEST_P(SharedKvCache, TheOneThatWroteABlockGoesOnInIt) {
  KvCache from(shape(), memory_, 1024);
  fill(from, 100, 1);
  KvCache to(shape(), memory_, 1024);
  to.share_prefix(from, 80);
  fill(from, 200, 3);
  EXPECT_EQ(memory_->taken(), 1u);
  fill(to, 120, 2);
  EXPECT_EQ(at(from, 110), 3);
  EXPECT_EQ(at(to, 110), 2);
  EXPECT_EQ(at(to, 79), 1);
  // Back to before the fork, it must not write over what the other one reads.
  to.set_length(0);
  to.share_prefix(from, 150);
  from.set_length(50);
  fill(from, 160, 4);
  EXPECT_EQ(at(to, 60), 1);
  EXPECT_EQ(at(to, 140), 3);
  EXPECT_EQ(at(from, 140), 4);
}

// A draft that was wrong costs no copy of a block that others began with.
TEST_P(SharedKvCache, WhatIsTakenBackIsWrittenAgainInPlace) {
  auto memory = std::make_shared<KvMemory>(shape(), GetParam(), 8);
  KvCache cache(shape(), memory, 600);
  cache.set_length(250);
  KvCache reader(shape(), memory, 600);
  ASSERT_EQ(reader.share_prefix(cache, 250), 250u);
  cache.set_length(260);
  EXPECT_EQ(memory->taken(), 2u);
  cache.take_back(253);
  EXPECT_EQ(cache.length(), 253u);
  EXPECT_EQ(memory->taken(), 1u) << "the block that only the draft needed";
  ASSERT_TRUE(cache.extend(256));
  EXPECT_EQ(memory->taken(), 1u) << "no copy";
  cache.take_back(253);
  ASSERT_TRUE(reader.extend(251));
  EXPECT_EQ(memory->taken(), 2u) << "the other one still copies before it writes";
}

TEST_P(SharedKvCache, BlocksComeBackWhenNobodyHoldsThem) {
  auto cache = std::make_unique<KvCache>(shape(), memory_, 1024);
  fill(*cache, 600, 1);
  memory_->keep(cache->blocks()[0].index());
  uint32_t kept = cache->blocks()[0].index();
  cache.reset();
  EXPECT_EQ(memory_->taken(), 1u);
  EXPECT_EQ(memory_->held(), 0u);
  std::vector<KvBlock> blocks;
  blocks.push_back(memory_->hold(kept));
  KvCache next(shape(), memory_, 1024);
  next.begin(std::move(blocks), 256, nullptr);
  EXPECT_EQ(at(next, 255), 1);
  memory_->drop(kept);
  EXPECT_EQ(memory_->taken(), 1u);
  next.set_length(0);
  EXPECT_EQ(memory_->taken(), 0u);
}

TEST_P(SharedKvCache, WithoutFreeBlocksItStaysAsItIs) {
  KvCache one(shape(), memory_, 2048);
  fill(one, 1500, 1);
  EXPECT_EQ(memory_->free(), 0u);
  KvCache other(shape(), memory_, 2048);
  other.share_prefix(one, 300);
  EXPECT_FALSE(other.extend(301));
  EXPECT_FALSE(one.extend(1600));
  EXPECT_EQ(other.length(), 300u);
  EXPECT_EQ(at(other, 299), 1);
  one.set_length(1000);
  fill(other, 301, 2);
  EXPECT_EQ(at(one, 300), 1);
}

INSTANTIATE_TEST_SUITE_P(Types, SharedKvCache,
                         testing::Values(KvType::kF32, KvType::kF16, KvType::kQ8_0));

TEST(KvCache, KnowsItsSize) {
  // 3 layers x 2 heads x (16 + 8) values x 512 positions.
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kF32, 257), 3u * 2 * 24 * 512 * 4);
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kF16, 512), 3u * 2 * 24 * 512 * 2);
  EXPECT_EQ(KvCache::bytes_for(shape(), KvType::kQ8_0, 512), 3u * 2 * (24 + 2 * 2) * 512);
  EXPECT_EQ(KvCache::bytes_per_position(shape(), KvType::kF16), 3u * 2 * 24 * 2);
  EXPECT_EQ(KvCache::fixed_bytes(shape()), 0u);
}

// Layers of compressed attention: nothing of single positions, 64 and 2 entries of a block, and
// index keys of the first ones.
ModelConfig compressed_shape() {
  ModelConfig config;
  config.layers = 3;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.value_dim = 16;
  config.sliding_window = 8;
  config.compressed = {4, 1, 4, {0, 4, 128}};
  config.indexer.kind = IndexerKind::kEntries;
  config.indexer.dimensions = 8;
  config.indexer.layers = {0, 1, 0};
  return config;
}

TEST(KvCache, KeepsEntries) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    KvCache cache(compressed_shape(), type, 600);
    ASSERT_TRUE(cache.extend(600));
    auto entry_of = [](uint32_t layer, uint32_t entry) {
      std::vector<float> values(16);
      for (uint32_t d = 0; d < 16; ++d) {
        values[d] = static_cast<float>((layer * 91 + entry * 7 + d * 13) % 255) - 127;
      }
      values[0] = 127;  // the block's scale is 1
      return values;
    };
    auto for_entries = [](auto&& use) {
      for (uint32_t entry = 0; entry < 150; ++entry) use(1, entry);
      for (uint32_t entry = 0; entry < 4; ++entry) use(2, entry);
    };
    for_entries([&](uint32_t layer, uint32_t entry) {
      cache.put_entry(layer, entry, entry_of(layer, entry).data());
      const std::vector<float> key(8, static_cast<float>(entry));
      if (layer == 1) cache.put_index_key(layer, entry, key);
    });
    for_entries([&](uint32_t layer, uint32_t entry) {
      std::vector<float> values(16);
      cache.read_entry(layer, entry, values.data());
      EXPECT_EQ(values, entry_of(layer, entry)) << layer << " " << entry;
      if (layer == 1) {
        const uint32_t panel = entry % 64 / 8 * 8 * 8;
        EXPECT_EQ(cache.index_keys(1, entry / 64)[panel + 3 * 8 + entry % 8],
                  static_cast<float>(entry));
      }
    });
  }
}

TEST(KvCache, TakesLittleForEntries) {
  const ModelConfig config = compressed_shape();
  // 64 and 2 entries of 16 halves and 64 index keys of 8 floats, each in whole bytes a position.
  EXPECT_EQ(KvCache::bytes_per_position(config, KvType::kF16), 8u + 1 + 8);
  KvMemory memory(config, KvType::kF16, 1);
  EXPECT_EQ(memory.block_bytes(), (8u + 1 + 8) * kKvBlockPositions);
  // The window before a token, and running softmaxes of entries and index keys.
  const RecurrentShape state = config.recurrent_shape();
  EXPECT_EQ(state.history_values(), 7u * 16);
  EXPECT_EQ(state.kept, 9u * 16 + 9 * 8);
  EXPECT_GE(KvCache::fixed_bytes(config), 3 * 4 * state.state_values() * sizeof(float));
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
  EXPECT_DEATH((void)cache.share_prefix(other, 300), "memory");
  EXPECT_DEATH((void)cache.extend(257), "capacity");
  EXPECT_DEATH(cache.put(0, 0, 256, values.data(), values.data()), "position");
  EXPECT_DEATH((void)cache.chunk(0, 0, 1), "blocks");
}

}  // namespace
}  // namespace potluck
