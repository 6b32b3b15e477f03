#include <cmath>

#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

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

  AttentionChunk chunk(uint32_t begin, uint32_t end) const {
    return {type, head_dim, value_dim, keys.data(), values.data(), begin, end, 0.3F};
  }
};

double put(KvType type, ByteVector& bytes, uint64_t index, float value) {
  if (type == KvType::kF32) {
    store(bytes.data() + 4 * index, value);
    return value;
  }
  uint16_t half = float_to_half(value);
  store(bytes.data() + 2 * index, half);
  return half_to_float(half);
}

Case make_case(KvType type, uint32_t head_dim, uint32_t value_dim, RandomDraws& draws) {
  uint32_t size = type == KvType::kF32 ? 4 : 2;
  Case c{type, head_dim, value_dim, {}, {}, {}, {}, random_floats(head_dim, 2, draws)};
  c.keys.resize(uint64_t{kAttentionChunk} * head_dim * size);
  c.values.resize(uint64_t{kAttentionChunk} * value_dim * size);
  for (uint32_t p = 0; p < kAttentionChunk; ++p) {
    for (uint32_t d = 0; d < head_dim; ++d) {
      uint64_t index = (uint64_t{p / 8} * head_dim + d) * 8 + p % 8;
      c.key_values.push_back(put(type, c.keys, index, draws.between(-2, 2)));
    }
    for (uint32_t d = 0; d < value_dim; ++d) {
      uint64_t index = uint64_t{p} * value_dim + d;
      c.value_values.push_back(put(type, c.values, index, draws.between(-2, 2)));
    }
  }
  return c;
}

constexpr std::pair<uint32_t, uint32_t> kRanges[] = {{0, 256}, {0, 1},     {0, 8},    {5, 6},
                                                     {7, 9},   {255, 256}, {13, 201}, {0, 97}};
constexpr std::pair<uint32_t, uint32_t> kDimensions[] = {
    {8, 8}, {64, 64}, {128, 128}, {40, 24}, {192, 128}, {576, 512}, {256, 256}, {16, 104}};

TEST(Attention, EveryTableGivesTheScalarBits) {
  RandomDraws draws(1);
  for (KvType type : {KvType::kF32, KvType::kF16}) {
    for (auto [head_dim, value_dim] : kDimensions) {
      Case c = make_case(type, head_dim, value_dim, draws);
      for (auto [begin, end] : kRanges) {
        std::vector<float> expected(value_dim);
        std::vector<float> scores(kAttentionChunk);
        AttentionPartial first = available_kernels().front()->attention_chunk(
            c.chunk(begin, end), c.query.data(), scores.data(), expected.data());
        for (const KernelTable* table : available_kernels()) {
          std::vector<float> out(value_dim);
          AttentionPartial found = table->attention_chunk(c.chunk(begin, end), c.query.data(),
                                                          scores.data(), out.data());
          EXPECT_EQ(std::memcmp(&found, &first, sizeof found), 0) << table->name;
          EXPECT_EQ(std::memcmp(out.data(), expected.data(), value_dim * sizeof(float)), 0)
              << table->name << " " << head_dim << " [" << begin << ", " << end << ")";
        }
      }
    }
  }
}

TEST(Attention, AgreesWithFloat64) {
  RandomDraws draws(2);
  for (KvType type : {KvType::kF32, KvType::kF16}) {
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
      std::vector<float> scratch(kAttentionChunk);
      std::vector<float> out(48);
      AttentionPartial partial = available_kernels().back()->attention_chunk(
          c.chunk(begin, end), c.query.data(), scratch.data(), out.data());
      EXPECT_NEAR(partial.max_score, max, 1e-4);
      EXPECT_NEAR(partial.sum, sum, sum * 1e-4);
      for (uint32_t d = 0; d < 48; ++d) EXPECT_NEAR(out[d], expected[d], sum * 1e-4);
    }
  }
}

// What is outside [begin, end) must not show, whatever it is.
TEST(Attention, IgnoresInvisiblePositions) {
  RandomDraws draws(3);
  Case c = make_case(KvType::kF32, 16, 16, draws);
  std::vector<float> scores(kAttentionChunk);
  for (const KernelTable* table : available_kernels()) {
    std::vector<float> expected(16);
    table->attention_chunk(c.chunk(11, 20), c.query.data(), scores.data(), expected.data());
    Case dirty = c;
    for (uint32_t p = 0; p < kAttentionChunk; ++p) {
      if (p >= 11 && p < 20) continue;
      for (uint32_t d = 0; d < 16; ++d) {
        put(KvType::kF32, dirty.keys, (uint64_t{p / 8} * 16 + d) * 8 + p % 8, NAN);
        put(KvType::kF32, dirty.values, uint64_t{p} * 16 + d, NAN);
      }
    }
    std::vector<float> out(16);
    table->attention_chunk(dirty.chunk(11, 20), c.query.data(), scores.data(), out.data());
    EXPECT_EQ(out, expected) << table->name;
  }
}

// Equal largest scores, zeros of both signs, infinities: the partial sums stay defined.
TEST(Attention, UnusualScores) {
  RandomDraws draws(4);
  for (float key : {0.0F, -0.0F, 1e38F, -1e38F}) {
    Case c = make_case(KvType::kF32, 8, 8, draws);
    for (uint32_t p = 3; p < 40; ++p) {
      for (uint32_t d = 0; d < 8; ++d) {
        float value = p % 3 == 0 ? key : -0.0F;
        put(KvType::kF32, c.keys, (uint64_t{p / 8} * 8 + d) * 8 + p % 8, value);
      }
    }
    std::vector<float> scores(kAttentionChunk);
    std::vector<AttentionPartial> partials;
    std::vector<std::vector<float>> outs;
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> out(8);
      partials.push_back(
          table->attention_chunk(c.chunk(3, 40), c.query.data(), scores.data(), out.data()));
      outs.push_back(out);
      EXPECT_EQ(std::memcmp(&partials.back(), &partials.front(), sizeof(AttentionPartial)), 0)
          << table->name << " " << key << " " << partials.back().sum;
      EXPECT_EQ(std::memcmp(outs.back().data(), outs.front().data(), 32), 0) << key;
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
      float smallest = p % 3 == first ? 1e-45F : -1e-45F;
      for (uint32_t d = 0; d < 8; ++d) {
        put(KvType::kF32, c.keys, (uint64_t{p / 8} * 8 + d) * 8 + p % 8, d == 0 ? 2 * smallest : 0);
      }
    }
    std::vector<float> scores(kAttentionChunk);
    std::vector<float> out(8);
    for (const KernelTable* table : available_kernels()) {
      AttentionPartial partial =
          table->attention_chunk(c.chunk(1, 2 + first), c.query.data(), scores.data(), out.data());
      EXPECT_EQ(std::bit_cast<uint32_t>(partial.max_score), 0u) << table->name;
    }
  }
}

}  // namespace
}  // namespace potluck
