#include <cmath>

#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kQ8_0};

// A chunk of random keys and values, and the same numbers as float64, position by position.
struct Case {
  KvType type;
  uint32_t head_dim;
  uint32_t value_dim;
  ByteVector keys;
  ByteVector values;
  std::vector<double> key_values;  // [positions, head_dim]
  std::vector<double> value_values;
  std::vector<float> query;

  AttentionChunk chunk() const {
    return {type, head_dim, value_dim, keys.data(), values.data(), 0.3F};
  }
  // Stores one position, and what became of it.
  void put(uint32_t position, const std::vector<float>& key, const std::vector<float>& value) {
    store_key(type, head_dim, key.data(), position, keys.data());
    store_value(type, value_dim, value.data(), position, values.data());
    for (uint32_t d = 0; d < head_dim; ++d) {
      key_values[position * head_dim + d] = key_at(type, head_dim, keys.data(), position, d);
    }
    for (uint32_t d = 0; d < value_dim; ++d) {
      value_values[position * value_dim + d] =
          value_at(type, value_dim, values.data(), position, d);
    }
  }
};

Case make_case(KvType type, uint32_t head_dim, uint32_t value_dim, RandomDraws& draws) {
  Case c{type, head_dim, value_dim, {}, {}, {}, {}, random_floats(head_dim, 2, draws)};
  c.keys.resize(kAttentionChunk * kv_bytes(type, head_dim));
  c.values.resize(kAttentionChunk * kv_bytes(type, value_dim));
  c.key_values.resize(uint64_t{kAttentionChunk} * head_dim);
  c.value_values.resize(uint64_t{kAttentionChunk} * value_dim);
  for (uint32_t p = 0; p < kAttentionChunk; ++p) {
    c.put(p, random_floats(head_dim, 2, draws), random_floats(value_dim, 2, draws));
  }
  return c;
}

struct Answer {
  AttentionPartial partial;
  std::vector<float> out;

  bool same_bits(const Answer& other) const {
    return std::memcmp(&partial, &other.partial, sizeof partial) == 0 &&
           std::memcmp(out.data(), other.out.data(), out.size() * sizeof(float)) == 0;
  }
};

Answer attend(const KernelTable& table, const Case& c, const float* query, uint32_t begin,
              uint32_t end) {
  Answer answer{{}, std::vector<float>(c.value_dim, -1.0F)};
  std::vector<float> scratch(kAttentionScratch);
  AttentionQuery one{query, begin, end, answer.out.data(), &answer.partial};
  table.attention_chunk(c.chunk(), {&one, 1}, scratch.data());
  return answer;
}

constexpr std::pair<uint32_t, uint32_t> kRanges[] = {{0, 256}, {0, 1},     {0, 8},    {5, 6},
                                                     {7, 9},   {255, 256}, {13, 201}, {0, 97}};
constexpr std::pair<uint32_t, uint32_t> kDimensions[] = {{8, 8},     {64, 64},   {128, 128},
                                                         {40, 24},   {192, 128}, {576, 512},
                                                         {256, 256}, {16, 104},  {80, 80}};

TEST(Attention, EveryTableGivesTheScalarBits) {
  RandomDraws draws(1);
  for (KvType type : kTypes) {
    for (auto [head_dim, value_dim] : kDimensions) {
      Case c = make_case(type, head_dim, value_dim, draws);
      for (auto [begin, end] : kRanges) {
        Answer expected = attend(*available_kernels().front(), c, c.query.data(), begin, end);
        for (const KernelTable* table : available_kernels()) {
          EXPECT_TRUE(attend(*table, c, c.query.data(), begin, end).same_bits(expected))
              << table->name << " " << head_dim << " [" << begin << ", " << end << ")";
        }
      }
    }
  }
}

// Regardless of the other queries in a call and what they see, each query gets what it gets alone.
// Some see the same positions, some a growing end, some a moving window, some nothing in common.
TEST(Attention, QueriesDoNotShowInEachOther) {
  RandomDraws draws(6);
  for (KvType type : kTypes) {
    Case c = make_case(type, 72, 56, draws);
    for (uint32_t count : {1u, 2u, 3u, 5u, 8u, 11u, 15u, 24u}) {
      std::vector<std::vector<float>> queries;
      std::vector<std::pair<uint32_t, uint32_t>> ranges;
      for (uint32_t i = 0; i < count; ++i) {
        queries.push_back(random_floats(72, 2, draws));
        if (count % 3 == 0) {
          ranges.push_back({i / 4 * 3, 200 + i / 4});
        } else if (count % 3 == 1) {
          ranges.push_back({0, 256});
        } else {
          uint32_t begin = draws.below(255);
          ranges.push_back({begin, begin + 1 + draws.below(256 - begin)});
        }
      }
      for (const KernelTable* table : available_kernels()) {
        std::vector<Answer> answers(count);
        std::vector<AttentionQuery> together;
        for (uint32_t i = 0; i < count; ++i) {
          answers[i].out.assign(56, -1.0F);
          together.push_back({queries[i].data(), ranges[i].first, ranges[i].second,
                              answers[i].out.data(), &answers[i].partial});
        }
        std::vector<float> scratch(kAttentionScratch);
        table->attention_chunk(c.chunk(), together, scratch.data());
        for (uint32_t i = 0; i < count; ++i) {
          Answer alone = attend(*available_kernels().front(), c, queries[i].data(), ranges[i].first,
                                ranges[i].second);
          EXPECT_TRUE(answers[i].same_bits(alone)) << table->name << " " << i << " of " << count;
        }
      }
    }
  }
}

TEST(Attention, AgreesWithFloat64) {
  RandomDraws draws(2);
  for (KvType type : kTypes) {
    Case c = make_case(type, 64, 48, draws);
    for (auto [begin, end] : kRanges) {
      std::vector<double> scores;
      for (uint32_t p = begin; p < end; ++p) {
        double score = 0;
        for (uint32_t d = 0; d < 64; ++d) score += c.query[d] * c.key_values[p * 64 + d];
        scores.push_back(score * 0.3F);
      }
      double max = *std::max_element(scores.begin(), scores.end());
      std::vector<double> expected(48);
      double sum = 0;
      for (uint32_t p = begin; p < end; ++p) {
        double weight = std::exp(scores[p - begin] - max);
        sum += weight;
        for (uint32_t d = 0; d < 48; ++d) expected[d] += weight * c.value_values[p * 48 + d];
      }
      auto [partial, out] = attend(*available_kernels().back(), c, c.query.data(), begin, end);
      EXPECT_NEAR(partial.max_score, max, 1e-4);
      EXPECT_NEAR(partial.sum, sum, sum * 1e-4);
      for (uint32_t d = 0; d < 48; ++d) EXPECT_NEAR(out[d], expected[d], sum * 1e-4);
    }
  }
}

// Positions outside [begin, end) must not affect a query, even if other queries see them.
TEST(Attention, IgnoresInvisiblePositions) {
  RandomDraws draws(3);
  for (KvType type : kTypes) {
    Case c = make_case(type, 16, 16, draws);
    Case dirty = c;
    for (uint32_t p = 0; p < kAttentionChunk; ++p) {
      if (p >= 11 && p < 20) continue;
      dirty.put(p, std::vector<float>(16, NAN), std::vector<float>(16, NAN));
    }
    for (const KernelTable* table : available_kernels()) {
      Answer expected = attend(*table, c, c.query.data(), 11, 20);
      EXPECT_TRUE(std::isfinite(expected.partial.sum));
      EXPECT_TRUE(attend(*table, dirty, c.query.data(), 11, 20).same_bits(expected));
      std::vector<Answer> answers(8);
      std::vector<AttentionQuery> queries;
      for (uint32_t i = 0; i < 8; ++i) {
        answers[i].out.resize(16);
        uint32_t end = i == 5 ? 20 : 25 + i;  // one sees good positions only
        queries.push_back(
            {c.query.data(), i == 5 ? 11 : 3 + i, end, answers[i].out.data(), &answers[i].partial});
      }
      std::vector<float> scratch(kAttentionScratch);
      table->attention_chunk(dirty.chunk(), queries, scratch.data());
      EXPECT_TRUE(answers[5].same_bits(expected)) << table->name;
      EXPECT_TRUE(std::isnan(answers[0].out[0])) << table->name;
    }
  }
}

// Equal largest scores, zeros of both signs, infinities: the partial sums stay defined.
TEST(Attention, UnusualScores) {
  RandomDraws draws(4);
  for (float key : {0.0F, -0.0F, 1e38F, -1e38F}) {
    Case c = make_case(KvType::kF32, 8, 8, draws);
    for (uint32_t p = 3; p < 40; ++p) {
      c.put(p, std::vector<float>(8, p % 3 == 0 ? key : -0.0F), random_floats(8, 2, draws));
    }
    Answer expected = attend(*available_kernels().front(), c, c.query.data(), 3, 40);
    for (const KernelTable* table : available_kernels()) {
      Answer found = attend(*table, c, c.query.data(), 3, 40);
      EXPECT_TRUE(found.same_bits(expected)) << table->name << " " << key;
    }
  }
}

// Scores that underflow to zeros of both signs: the largest is +0, whichever came first.
TEST(Attention, LargestZeroHasNoSign) {
  RandomDraws draws(5);
  for (uint32_t first = 0; first < 3; ++first) {
    Case c = make_case(KvType::kF32, 8, 8, draws);
    c.query.assign(8, 0.5F);
    for (uint32_t p = 0; p < kAttentionChunk; ++p) {
      std::vector<float> key(8);
      key[0] = p % 3 == first ? 2e-45F : -2e-45F;
      c.put(p, key, random_floats(8, 2, draws));
    }
    for (const KernelTable* table : available_kernels()) {
      Answer found = attend(*table, c, c.query.data(), 1, 2 + first);
      EXPECT_EQ(std::bit_cast<uint32_t>(found.partial.max_score), 0u) << table->name;
    }
  }
}

}  // namespace
}  // namespace potluck
