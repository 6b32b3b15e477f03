// Attention against softmax(q K) V in float64, over chunks, caches and blocks of rows; threads must
// not show.
#include "engine/model/attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

ModelConfig attention_shape() {
  ModelConfig config;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.value_dim = 8;
  config.attention_scale = 0.25F;
  return config;
}

std::vector<float> attention_values(uint64_t seed, uint64_t index, uint64_t count) {
  std::vector<float> values(count);
  CounterRandom random(seed);
  for (uint64_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(4 * random.uniform(index, i) - 2);
  }
  return values;
}

// A cache of random keys and values, and the same numbers in plain rows.
struct FilledCache {
  FilledCache(const ModelConfig& config, uint32_t positions, uint64_t seed)
      : cache(config, KvType::kF32, positions), kv_heads(config.kv_heads) {
    cache.set_length(positions);
    for (uint32_t p = 0; p < positions; ++p) {
      for (uint32_t head = 0; head < kv_heads; ++head) {
        keys.push_back(attention_values(seed, keys.size(), config.head_dim_of(1)));
        values.push_back(attention_values(seed + 1, values.size(), config.value_dim_of(1)));
        cache.put(1, head, p, keys.back().data(), values.back().data());
      }
    }
  }
  std::vector<double> attend(uint32_t head, uint32_t position, const float* query, float scale,
                             uint32_t first = 0, double sink = -INFINITY) const {
    std::vector<double> scores;
    double largest = sink;
    for (uint32_t p = first; p <= position; ++p) {
      double score = 0;
      const auto& key = keys[p * kv_heads + head];
      for (size_t d = 0; d < key.size(); ++d) score += double{query[d]} * key[d];
      scores.push_back(score * scale);
      largest = std::max(largest, scores.back());
    }
    double sum = std::exp(sink - largest);
    std::vector<double> out(values[0].size());
    for (uint32_t p = first; p <= position; ++p) {
      double weight = std::exp(scores[p - first] - largest);
      sum += weight;
      for (size_t d = 0; d < out.size(); ++d) out[d] += weight * values[p * kv_heads + head][d];
    }
    for (double& o : out) o /= sum;
    return out;
  }

  KvCache cache;
  uint32_t kv_heads;
  std::vector<std::vector<float>> keys;    // [position][kv_head]
  std::vector<std::vector<float>> values;  // [position][kv_head]
};

std::vector<float> run_attention(const ModelConfig& config, int threads,
                                 std::span<const AttentionRow> rows,
                                 const std::vector<float>& queries,
                                 const AttentionLayer& layer = {1, 0, {}}) {
  ThreadPool pool(threads);
  Attention attention(config, *available_kernels().front(), pool);
  std::vector<float> out(rows.size() * config.attention_columns(), -1.0F);
  attention.run(layer, rows, queries.data(), out.data());
  return out;
}

TEST(Attention, IsSoftmaxOverThePositionsUpToEachRow) {
  ModelConfig config = attention_shape();
  FilledCache long_one(config, 700, 1);
  FilledCache short_one(config, 30, 5);
  std::vector<const FilledCache*> owners;
  std::vector<AttentionRow> rows;
  auto add = [&](const FilledCache& of, uint32_t position) {
    owners.push_back(&of);
    rows.push_back({&of.cache, position});
  };
  for (uint32_t p : {0u, 1u, 254u, 255u, 256u, 257u, 511u, 512u, 699u}) add(long_one, p);
  for (uint32_t p = 5; p < 30; ++p) add(short_one, p);
  std::vector<float> queries = attention_values(9, 0, rows.size() * config.query_columns());
  std::vector<float> out = run_attention(config, 1, rows, queries);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (uint32_t head = 0; head < config.heads; ++head) {
      const float* query = queries.data() + row * config.query_columns() + head * config.head_dim;
      auto expected = owners[row]->attend(head / config.group_size(), rows[row].position, query,
                                          config.attention_scale);
      for (uint32_t d = 0; d < config.value_dim; ++d) {
        ASSERT_NEAR(out[row * config.attention_columns() + head * config.value_dim + d],
                    expected[d], 1e-5)
            << "row " << row << " head " << head;
      }
    }
  }
  EXPECT_EQ(run_attention(config, 3, rows, queries), out);
}

// Of the positions that `sees` names, in float64.
std::vector<double> attend_to_some(const FilledCache& filled, uint32_t head, const float* query,
                                   float scale, std::span<const uint32_t> seen) {
  double sum = 0;
  std::vector<double> out(filled.values[0].size());
  for (uint32_t p : seen) {
    double score = 0;
    const auto& key = filled.keys[p * filled.kv_heads + head];
    for (size_t d = 0; d < key.size(); ++d) score += double{query[d]} * key[d];
    const double weight = std::exp(score * scale);
    sum += weight;
    const auto& value = filled.values[p * filled.kv_heads + head];
    for (size_t d = 0; d < out.size(); ++d) out[d] += weight * value[d];
  }
  for (double& o : out) o /= sum;
  return out;
}

// Positions that are left out count for nothing, be they single ones or whole chunks.
TEST(Attention, SeesOnlyWhatIsSelected) {
  ModelConfig config = attention_shape();
  FilledCache filled(config, 700, 1);
  std::vector<AttentionRow> rows;
  for (uint32_t p : {0u, 5u, 255u, 256u, 300u, 600u, 699u}) rows.push_back({&filled.cache, p});
  PositionSelection selection;
  selection.reset(static_cast<uint32_t>(rows.size()), config.kv_heads);
  std::vector<std::vector<uint32_t>> seen;  // [rows, kv_heads]
  for (uint32_t row = 0; row < rows.size(); ++row) {
    for (uint32_t head = 0; head < config.kv_heads; ++head) {
      const uint32_t last = rows[row].position;
      std::vector<uint64_t>& bits = selection.at(row, head);
      if (row != 1) bits.assign(last / 64 + 1, 0);  // that one sees all
      seen.emplace_back();
      for (uint32_t p = 0; p <= last; ++p) {
        const bool chosen =
            p == last || (p / 256 != head && CounterRandom(3).bits(row, p) % 3 == 0);
        if (row != 1 && !chosen) continue;
        if (row != 1) bits[p / 64] |= uint64_t{1} << (p % 64);
        seen.back().push_back(p);
      }
    }
  }
  AttentionLayer layer{1, 0, {}, &selection};
  std::vector<float> queries = attention_values(9, 0, rows.size() * config.query_columns());
  std::vector<float> out = run_attention(config, 1, rows, queries, layer);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (uint32_t head = 0; head < config.heads; ++head) {
      const uint32_t kv_head = head / config.group_size();
      const float* query = queries.data() + row * config.query_columns() + head * config.head_dim;
      auto expected = attend_to_some(filled, kv_head, query, config.attention_scale,
                                     seen[row * config.kv_heads + kv_head]);
      for (uint32_t d = 0; d < config.value_dim; ++d) {
        ASSERT_NEAR(out[row * config.attention_columns() + head * config.value_dim + d],
                    expected[d], 1e-5)
            << "row " << row << " head " << head;
      }
    }
  }
  EXPECT_EQ(run_attention(config, 3, rows, queries, layer), out);
}

// A row sees the last positions only, wherever its chunks begin, and a sink takes its share.
TEST(Attention, LooksBackOverAWindowAndCountsSinks) {
  ModelConfig config = attention_shape();
  FilledCache filled(config, 700, 1);
  const float sinks[] = {0.5F, -1.0F, 4.0F, 30.0F};
  std::vector<AttentionRow> rows;
  for (uint32_t p : {0u, 6u, 7u, 8u, 200u, 255u, 256u, 260u, 299u, 512u, 699u}) {
    rows.push_back({&filled.cache, p});
  }
  std::vector<float> queries = attention_values(9, 0, rows.size() * config.query_columns());
  for (uint32_t window : {8u, 100u, 300u, 1000u}) {
    AttentionLayer layer{1, window, sinks};
    std::vector<float> out = run_attention(config, 1, rows, queries, layer);
    for (size_t row = 0; row < rows.size(); ++row) {
      uint32_t p = rows[row].position;
      uint32_t first = p < window ? 0 : p + 1 - window;
      for (uint32_t head = 0; head < config.heads; ++head) {
        const float* query = queries.data() + row * config.query_columns() + head * config.head_dim;
        auto expected = filled.attend(head / config.group_size(), p, query, config.attention_scale,
                                      first, sinks[head]);
        for (uint32_t d = 0; d < config.value_dim; ++d) {
          ASSERT_NEAR(out[row * config.attention_columns() + head * config.value_dim + d],
                      expected[d], 1e-5)
              << "window " << window << " row " << row << " head " << head;
        }
      }
    }
    EXPECT_EQ(run_attention(config, 3, rows, queries, layer), out);
  }
}

// Windows that begin at their own multiples, whether or not chunks of the cache begin there.
TEST(Attention, LooksBackToTheLastMultipleOfAChunkedWindow) {
  ModelConfig config = attention_shape();
  config.chunked_windows = true;
  FilledCache filled(config, 700, 1);
  std::vector<AttentionRow> rows;
  for (uint32_t p : {0u, 99u, 100u, 101u, 255u, 256u, 299u, 300u, 511u, 512u, 699u}) {
    rows.push_back({&filled.cache, p});
  }
  std::vector<float> queries = attention_values(9, 0, rows.size() * config.query_columns());
  for (uint32_t window : {100u, 256u, 300u, 1000u}) {
    AttentionLayer layer{1, window, {}};
    std::vector<float> out = run_attention(config, 1, rows, queries, layer);
    for (size_t row = 0; row < rows.size(); ++row) {
      const uint32_t p = rows[row].position;
      const float* query = queries.data() + row * config.query_columns();
      auto expected = filled.attend(0, p, query, config.attention_scale, p / window * window);
      for (uint32_t d = 0; d < config.value_dim; ++d) {
        ASSERT_NEAR(out[row * config.attention_columns() + d], expected[d], 1e-5)
            << "window " << window << " row " << row;
      }
    }
    EXPECT_EQ(run_attention(config, 3, rows, queries, layer), out);
  }
}

// A layer may read what another one has stored, and have heads of other sizes than its neighbors.
TEST(Attention, ReadsTheKeysAndValuesOfAnotherLayer) {
  ModelConfig config = attention_shape();
  config.layers = 4;
  config.layer_head_dims = {8, 16, 8, 16};
  config.layer_value_dims = {16, 8, 16, 8};
  config.value_dim = 16;
  config.kv_layers = {0, 1, 0, 1};
  ModelConfig alike = attention_shape();
  FilledCache filled(config, 300, 1);
  std::vector<AttentionRow> rows = {{&filled.cache, 5}, {&filled.cache, 299}};
  std::vector<float> queries = attention_values(9, 0, rows.size() * alike.query_columns());
  std::vector<float> own = run_attention(config, 1, rows, queries, {1, 0, {}});
  EXPECT_EQ(run_attention(config, 2, rows, queries, {3, 0, {}}), own);
  for (size_t row = 0; row < rows.size(); ++row) {
    auto expected =
        filled.attend(0, rows[row].position, queries.data() + row * alike.query_columns(), 0.25F);
    for (uint32_t d = 0; d < 8; ++d) {
      ASSERT_NEAR(own[row * alike.attention_columns() + d], expected[d], 1e-5);
    }
  }
}

// More rows than one block holds give what each gives alone.
TEST(Attention, WorksInBlocks) {
  ModelConfig config = attention_shape();
  config.value_dim = 512;  // 4 heads x 512 values x 4 bytes: a block of 8 MiB holds 1024 rows
  FilledCache filled(config, 11, 3);
  std::vector<AttentionRow> rows(2500, AttentionRow{&filled.cache, 10});
  std::vector<float> one = attention_values(7, 0, config.query_columns());
  std::vector<float> queries;
  for (size_t i = 0; i < rows.size(); ++i) queries.insert(queries.end(), one.begin(), one.end());
  std::vector<float> out = run_attention(config, 2, rows, queries);
  std::vector<float> alone = run_attention(config, 1, std::span(rows).first(1), one);
  for (size_t row = 0; row < rows.size(); ++row) {
    auto begin = out.begin() + static_cast<ptrdiff_t>(row * alone.size());
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(), begin)) << "row " << row;
  }
}

}  // namespace
}  // namespace potluck
