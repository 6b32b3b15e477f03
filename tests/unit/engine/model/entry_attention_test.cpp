// Attention over a window and entries against a plain restatement in float64, and against itself
// when the rows come in other steps.
#include "engine/model/entry_attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kHeads = 16;
constexpr uint32_t kSize = 16;
constexpr uint32_t kWindow = 24;
constexpr uint32_t kRatio = 4;

ModelConfig entry_config() {
  ModelConfig config;
  config.layers = 1;
  config.heads = kHeads;
  config.kv_heads = 1;
  config.head_dim = kSize;
  config.value_dim = kSize;
  config.attention_scale = 0.25F;
  config.sliding_window = kWindow;
  config.compressed = {1, 1, 1, {kRatio}};
  return config;
}

// Keys of positions, entries and queries: the same whatever steps they come in.
struct Conversation {
  explicit Conversation(uint32_t positions) : length(positions) {}

  static void fill(uint64_t seed, uint32_t index, std::span<float> values) {
    CounterRandom random(seed);
    for (uint32_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(random.uniform(index, i) * 2 - 1);
    }
  }
  static std::vector<float> values(uint64_t seed, uint32_t index, uint32_t count) {
    std::vector<float> made(count);
    fill(seed, index, made);
    return made;
  }
  static std::vector<float> key(uint32_t position) { return values(1, position, kSize); }
  static std::vector<float> entry(uint32_t index) { return values(2, index, kSize); }
  static std::vector<float> query(uint32_t position) { return values(3, position, kHeads * kSize); }
  static std::vector<float> sinks() { return values(4, 0, kHeads); }
  // Half of the entries that a row sees, if there are many.
  static std::vector<uint32_t> chosen(uint32_t position) {
    std::vector<uint32_t> indices;
    const uint32_t visible = (position + 1) / kRatio;
    if (visible < 20) return indices;
    for (uint32_t i = 0; i < visible; ++i) {
      if (CounterRandom(5).bits(position, i) % 2 == 0) indices.push_back(i);
    }
    return indices;
  }

  uint32_t length;
};

std::vector<double> attention_oracle(uint32_t position, uint32_t head, bool selects) {
  std::vector<std::vector<float>> seen;
  for (uint32_t p = position < kWindow ? 0 : position + 1 - kWindow; p <= position; ++p) {
    seen.push_back(Conversation::key(p));
  }
  std::vector<uint32_t> entries = Conversation::chosen(position);
  if (!selects || entries.empty()) {
    entries.clear();
    for (uint32_t i = 0; i < (position + 1) / kRatio; ++i) entries.push_back(i);
  }
  for (uint32_t entry : entries) seen.push_back(Conversation::entry(entry));
  const std::vector<float> query = Conversation::query(position);
  double sum = std::exp(static_cast<double>(Conversation::sinks()[head]));
  std::vector<double> out(kSize);
  for (const std::vector<float>& key : seen) {
    double score = 0;
    for (uint32_t d = 0; d < kSize; ++d) score += double{query[head * kSize + d]} * key[d];
    const double weight = std::exp(score * 0.25);
    sum += weight;
    for (uint32_t d = 0; d < kSize; ++d) out[d] += weight * key[d];
  }
  for (double& value : out) value /= sum;
  return out;
}

// All rows of a conversation, `step` at a time.
std::vector<float> attend(uint32_t length, uint32_t step, bool selects, int threads) {
  const ModelConfig config = entry_config();
  ThreadPool pool(threads);
  ComputeContext compute{*available_kernels().back(), pool};
  EntryAttention attention(config, compute);
  RecurrentRows raw(config.recurrent_shape(), compute);
  KvCache cache(config, KvType::kF32, length);
  const std::vector<float> sinks = Conversation::sinks();
  std::vector<float> out(uint64_t{length} * kHeads * kSize);
  for (uint32_t first = 0; first < length; first += step) {
    const uint32_t count = std::min(step, length - first);
    EXPECT_TRUE(cache.extend(first + count));
    StepRows rows;
    std::vector<uint32_t> raw_rows;
    std::vector<float> queries;
    PositionSelection selection;
    selection.reset(count, 1);
    raw.reset(count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t position = first + i;
      rows.rows.push_back({&cache, position});
      rows.caches.push_back(&cache);
      raw_rows.push_back(i);
      Conversation::fill(1, position, {raw.input(i), kSize});
      const std::vector<float> query = Conversation::query(position);
      queries.insert(queries.end(), query.begin(), query.end());
      if ((position + 1) % kRatio == 0) {
        cache.put_entry(0, position / kRatio, Conversation::entry(position / kRatio).data());
      }
      selection.at(i, 0).clear();
      for (uint32_t entry : Conversation::chosen(position)) {
        selection.at(i, 0).resize((position + 1) / kRatio / 64 + 1);
        selection.at(i, 0)[entry / 64] |= uint64_t{1} << (entry % 64);
      }
    }
    raw.begin(0, rows);
    raw.advance();
    attention.run({0, kRatio, sinks, selects ? &selection : nullptr}, rows.rows, raw, raw_rows,
                  queries.data(), out.data() + uint64_t{first} * kHeads * kSize);
    cache.set_length(first + count);
  }
  return out;
}

TEST(EntryAttention, IsASoftmaxOverWindowAndEntries) {
  // More than one piece of positions, and more than one of entries.
  constexpr uint32_t kLength = 1100;
  for (bool selects : {false, true}) {
    const std::vector<float> out = attend(kLength, 512, selects, 1);
    for (uint32_t position : {0u, 3u, 22u, 23u, 24u, 100u, 255u, 256u, 270u, 1023u, 1050u, 1099u}) {
      for (uint32_t head : {0u, 7u, 15u}) {
        const std::vector<double> expected = attention_oracle(position, head, selects);
        for (uint32_t d = 0; d < kSize; ++d) {
          EXPECT_NEAR(out[(uint64_t{position} * kHeads + head) * kSize + d], expected[d], 1e-5)
              << position;
        }
      }
    }
  }
}

TEST(EntryAttention, DoesNotDependOnStepsOrThreads) {
  constexpr uint32_t kLength = 300;
  for (bool selects : {false, true}) {
    const std::vector<float> whole = attend(kLength, 512, selects, 1);
    for (uint32_t step : {1u, 7u, 100u}) {
      EXPECT_EQ(attend(kLength, step, selects, 3), whole) << step;
    }
  }
}

}  // namespace
}  // namespace potluck
