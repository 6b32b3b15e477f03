// The layer loop as a step: what it asks for, what it refuses, and what one row's failure does.
// That it computes the right numbers is shown by the golden tests.
#include "engine/model/forward.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/experts/expert_compute.h"
#include "engine/model/step_run.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;
using ::testing::HasSubstr;

constexpr float kInfiniteLogit = std::numeric_limits<float>::infinity();
constexpr TokenId kBadToken = 5;

// A tiny model with everything that computes it.
struct Rig {
  explicit Rig(const TinyModel& tiny)
      : model(std::move(*tiny.load())),
        source(std::move(*ResidentSource::load(model->cutter(), {}))),
        pool(1),
        compute(kernels, pool),
        executor(model->cutter(), *source, compute),
        forward(*model, kernels, pool) {}

  KvCache cache() const { return KvCache(model->config(), KvType::kF32, 256); }

  const KernelTable& kernels = *available_kernels().front();
  std::unique_ptr<Model> model;
  std::unique_ptr<GrainSource> source;
  ThreadPool pool;
  ExpertCompute compute;
  LocalExecutor executor;
  Forward forward;
};

// An executor that answers as a test says, and remembers what it was asked.
class ScriptedExecutor final : public ExpertExecutor {
 public:
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override {
    layers.push_back(batch.layer);
    tokens.push_back(batch.tokens());
    inspect(batch);
    out->reset(batch.tokens(), batch.input.columns);
    if (flag_row) out->flags[*flag_row] = 1;
    return 0;
  }
  std::optional<Status> take_completed(Ticket) override { return answer; }
  void turn(Duration) override {}
  void cancel(Ticket) override {}

  std::function<void(const ExpertBatch&)> inspect = [](const ExpertBatch&) {};
  std::optional<uint32_t> flag_row;
  Status answer;
  std::vector<uint32_t> layers;
  std::vector<uint32_t> tokens;
};

std::vector<float> copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}

// Remembers what it was shown.
class RecordingObserver final : public LayerObserver {
 public:
  struct Seen {
    uint32_t layer;
    ResidualPoint point;
    uint32_t position;
    std::vector<float> residual;
    bool operator==(const Seen&) const = default;
  };

  void on_residual(uint32_t layer, ResidualPoint point, uint32_t position,
                   std::span<const float> residual) override {
    seen.push_back({layer, point, position, copy(residual)});
  }
  // At one position, in order of layers.
  std::vector<Seen> at(uint32_t position) const {
    std::vector<Seen> found;
    std::ranges::copy_if(seen, std::back_inserter(found),
                         [&](const Seen& entry) { return entry.position == position; });
    return found;
  }

  std::vector<Seen> seen;
};

TEST(Forward, ShowsAnObserverEveryResidualHoweverThePromptIsCut) {
  Rig rig((TinyModel("qwen3moe")));
  RecordingObserver whole;
  RecordingObserver cut;
  KvCache cache = rig.cache();
  const ForwardRow rows[] = {{1, 0, &cache, true}, {2, 1, &cache, true}, {3, 2, &cache, true}};
  rig.forward.set_observer(&whole);
  ASSERT_TRUE(run_step(rig.forward, rows, rig.executor));
  KvCache second = rig.cache();
  rig.forward.set_observer(&cut);
  for (uint32_t i = 0; i < 3; ++i) {
    const ForwardRow row{rows[i].token, i, &second, true};
    ASSERT_TRUE(run_step(rig.forward, {&row, 1}, rig.executor));
  }
  rig.forward.set_observer(nullptr);
  KvCache third = rig.cache();
  const ForwardRow unseen{1, 0, &third, true};
  ASSERT_TRUE(run_step(rig.forward, {&unseen, 1}, rig.executor));

  ASSERT_EQ(whole.seen.size(), 3 * (1 + 2 * TinyModel::kLayers));
  EXPECT_EQ(cut.seen.size(), whole.seen.size());
  for (uint32_t position = 0; position < 3; ++position) {
    std::vector<RecordingObserver::Seen> found = whole.at(position);
    EXPECT_EQ(found, cut.at(position));
    EXPECT_EQ(found[0].point, ResidualPoint::kEmbedding);
    for (uint32_t layer = 0; layer < TinyModel::kLayers; ++layer) {
      EXPECT_EQ(found[1 + 2 * layer].layer, layer);
      EXPECT_EQ(found[1 + 2 * layer].point, ResidualPoint::kMixer);
      EXPECT_EQ(found[2 + 2 * layer].point, ResidualPoint::kLayer);
      EXPECT_NE(found[1 + 2 * layer].residual, found[2 + 2 * layer].residual);
    }
  }
}

TEST(Forward, ShowsDenseLayersToo) {
  Rig rig((TinyModel("qwen3")));
  RecordingObserver observer;
  KvCache cache = rig.cache();
  const ForwardRow row{1, 0, &cache, true};
  rig.forward.set_observer(&observer);
  ASSERT_TRUE(run_step(rig.forward, {&row, 1}, rig.executor));
  ASSERT_EQ(observer.seen.size(), 1 + 2 * TinyModel::kLayers);
  EXPECT_NE(observer.seen[1].residual, observer.seen[2].residual);
}

TEST(Forward, AsksOncePerMoeLayerWithWhatItsExpertsNeed) {
  Rig rig((TinyModel("qwen3moe")));
  KvCache cache = rig.cache();
  const ForwardRow rows[] = {{1, 0, &cache, true}, {2, 1, &cache, true}, {3, 2, &cache, true}};
  rig.forward.begin(rows);
  ExpertSums sums;
  for (uint32_t layer = 0; layer < TinyModel::kLayers; ++layer) {
    ASSERT_EQ(rig.forward.advance(), ForwardState::kNeedsExperts);
    const ExpertBatch& batch = rig.forward.batch();
    EXPECT_EQ(batch.layer, layer);
    EXPECT_EQ(batch.top_k, TinyModel::kTopK);
    EXPECT_EQ(batch.tokens(), 3u);
    EXPECT_EQ(batch.input.form, rig.model->bank(layer)->shape.input_form());
    EXPECT_EQ(batch.input.columns, TinyModel::kHidden);
    ASSERT_EQ(batch.experts.size(), 3 * TinyModel::kTopK);
    for (uint32_t row = 0; row < 3; ++row) {
      std::span<const float> weights = batch.weights.subspan(row * 2, 2);
      EXPECT_GE(weights[0], weights[1]);
      EXPECT_NEAR(weights[0] + weights[1], 1, 1e-6);
      EXPECT_NE(batch.experts[row * 2], batch.experts[row * 2 + 1]);
      EXPECT_LT(batch.experts[row * 2], TinyModel::kExperts);
    }
    sums.reset(3, TinyModel::kHidden);
    rig.forward.supply(sums);
  }
  EXPECT_EQ(rig.forward.advance(), ForwardState::kDone);
  EXPECT_EQ(rig.forward.logits(2).size(), TinyModel::kVocabulary);
  EXPECT_EQ(cache.length(), 0u);  // the caller of the step decides when it counts
}

// The scale follows from the residual, which on the first layer of zero attention is the embedding.
TEST(Forward, TakesTheScaleFromTheResidual) {
  TinyModel tiny("qwen3moe");
  std::ranges::fill(tiny.tensors["blk.0.attn_output.weight"].values, 0.0F);
  auto& embedding = tiny.tensors["token_embd.weight"].values;
  std::fill_n(embedding.begin() + 1 * TinyModel::kHidden, TinyModel::kHidden, 0.25F);
  embedding[1 * TinyModel::kHidden + 9] = -5.5F;
  std::fill_n(embedding.begin() + 2 * TinyModel::kHidden, TinyModel::kHidden, 0.0F);
  Rig rig(tiny);
  KvCache cache = rig.cache();
  const ForwardRow rows[] = {{1, 0, &cache, false}, {2, 1, &cache, true}};
  rig.forward.begin(rows);
  ASSERT_EQ(rig.forward.advance(), ForwardState::kNeedsExperts);
  EXPECT_EQ(rig.forward.batch().fraction_bits[0], 24 - 2);
  EXPECT_EQ(rig.forward.batch().fraction_bits[1], 24);
}

TEST(Forward, AddsTheRoutedSumsToTheResidual) {
  TinyModel tiny("qwen3moe");
  Rig rig(tiny);
  KvCache cache = rig.cache();
  const ForwardRow row{1, 0, &cache, true};
  auto run_with = [&](int64_t units_of_one) {
    rig.forward.begin({&row, 1});
    ExpertSums sums;
    while (rig.forward.advance() == ForwardState::kNeedsExperts) {
      sums.reset(1, TinyModel::kHidden);
      // In the last layer, so that nothing but the output norm comes after.
      if (rig.forward.batch().layer == 1) {
        for (int64_t& sum : sums.sums) sum = units_of_one << rig.forward.batch().fraction_bits[0];
      }
      rig.forward.supply(sums);
    }
    return copy(rig.forward.logits(0));
  };
  std::vector<float> without = run_with(0);
  std::vector<float> with = run_with(1000);
  EXPECT_NE(with, without);
  // A residual of nearly equal values is normed to nearly the norm's weights.
  const auto& norm = tiny.tensors["output_norm.weight"].values;
  const auto& output = tiny.tensors["output.weight"].values;
  for (uint32_t token = 0; token < TinyModel::kVocabulary; ++token) {
    double expected = 0;
    for (uint32_t i = 0; i < TinyModel::kHidden; ++i) {
      expected += double{norm[i]} * output[token * TinyModel::kHidden + i];
    }
    EXPECT_NEAR(with[token], expected, 0.2);
  }
}

TEST(Forward, ComputesTheLastLayerOnlyForRowsThatWantLogits) {
  Rig rig((TinyModel("qwen3moe")));
  KvCache cache = rig.cache();
  ScriptedExecutor executor;
  std::vector<ForwardRow> rows;
  for (uint32_t p = 0; p < 5; ++p) rows.push_back({7, p, &cache, p == 1 || p == 4});
  ASSERT_TRUE(run_step(rig.forward, rows, executor).ok());
  EXPECT_EQ(executor.layers, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(executor.tokens, (std::vector<uint32_t>{5, 2}));
  EXPECT_EQ(cache.length(), 5u);

  // A part of a prompt without wanted logits: only keys and values are computed.
  rows.clear();
  for (uint32_t p = 5; p < 8; ++p) rows.push_back({7, p, &cache, false});
  ASSERT_TRUE(run_step(rig.forward, rows, executor).ok());
  EXPECT_EQ(executor.layers, (std::vector<uint32_t>{0, 1, 0}));
  EXPECT_EQ(cache.length(), 8u);
}

// The right row's logits come out, whichever rows wanted some.
TEST(Forward, GivesEachRowItsOwnLogits) {
  Rig rig((TinyModel("qwen3moe")));
  KvCache all = rig.cache();
  KvCache some = rig.cache();
  std::vector<ForwardRow> rows;
  for (uint32_t p = 0; p < 6; ++p) rows.push_back({static_cast<TokenId>(p * 5), p, &all, true});
  ASSERT_TRUE(run_step(rig.forward, rows, rig.executor).ok());
  std::vector<std::vector<float>> expected;
  for (uint32_t i = 0; i < 6; ++i) expected.push_back(copy(rig.forward.logits(i)));
  for (uint32_t p = 0; p < 6; ++p) {
    rows[p].cache = &some;
    rows[p].wants_logits = p == 2 || p == 5;
  }
  ASSERT_TRUE(run_step(rig.forward, rows, rig.executor).ok());
  EXPECT_EQ(copy(rig.forward.logits(0)), expected[2]);
  EXPECT_EQ(copy(rig.forward.logits(1)), expected[5]);
}

// A model in which one token's embedding is broken.
TinyModel with_bad_token(const std::string& architecture, float bad) {
  TinyModel tiny(architecture);
  tiny.tensors["token_embd.weight"].values[kBadToken * TinyModel::kHidden + 3] = bad;
  return tiny;
}

TEST(Forward, FailsOnlyTheRowThatIsNotFinite) {
  for (const char* architecture : {"qwen3", "qwen3moe"}) {
    for (float bad : {kInfiniteLogit, -kInfiniteLogit, std::numeric_limits<float>::quiet_NaN()}) {
      Rig rig(with_bad_token(architecture, bad));
      KvCache good = rig.cache();
      const ForwardRow alone{1, 0, &good, true};
      ASSERT_TRUE(run_step(rig.forward, {&alone, 1}, rig.executor).ok());
      std::vector<float> expected = copy(rig.forward.logits(0));

      good.set_length(0);
      KvCache broken = rig.cache();
      const ForwardRow rows[] = {{kBadToken, 0, &broken, true}, {1, 0, &good, true}};
      Status step = run_step(rig.forward, rows, rig.executor);
      ASSERT_FALSE(step.ok());
      EXPECT_EQ(step.error().code, ErrorCode::kArithmetic);
      EXPECT_THAT(step.error().message, HasSubstr("position 0, layer 0"));
      EXPECT_FALSE(rig.forward.row_status(0).ok());
      EXPECT_TRUE(rig.forward.row_status(1).ok());
      EXPECT_EQ(copy(rig.forward.logits(1)), expected);
      EXPECT_EQ(good.length(), 0u);
      EXPECT_EQ(broken.length(), 0u);
    }
  }
}

// What goes out to other machines for a failed row must be such as they accept.
TEST(Forward, SendsHarmlessRowsForFailedOnes) {
  Rig rig(with_bad_token("qwen3moe", kInfiniteLogit));
  KvCache cache = rig.cache();
  ScriptedExecutor executor;
  executor.inspect = [](const ExpertBatch& batch) {
    for (uint32_t i = 0; i < TinyModel::kHidden; ++i) EXPECT_EQ(batch.input.values[i], 0.0F);
    EXPECT_EQ(batch.fraction_bits[0], 24);
    for (float weight : batch.weights) EXPECT_TRUE(std::isfinite(weight));
    for (uint32_t expert : batch.experts) EXPECT_LT(expert, TinyModel::kExperts);
  };
  const ForwardRow row{kBadToken, 0, &cache, true};
  EXPECT_FALSE(run_step(rig.forward, {&row, 1}, executor).ok());
  EXPECT_EQ(executor.layers.size(), 2u);
}

TEST(Forward, FailsARowWhoseRouterIsBroken) {
  TinyModel tiny("qwen3moe");
  tiny.tensors["blk.1.ffn_gate_inp.weight"].values[4] = std::numeric_limits<float>::quiet_NaN();
  Rig rig(tiny);
  KvCache cache = rig.cache();
  ScriptedExecutor executor;
  executor.inspect = [](const ExpertBatch& batch) {
    for (float weight : batch.weights) EXPECT_TRUE(std::isfinite(weight));
  };
  const ForwardRow row{1, 0, &cache, true};
  Status step = run_step(rig.forward, {&row, 1}, executor);
  ASSERT_FALSE(step.ok());
  EXPECT_THAT(step.error().message, HasSubstr("layer 1: the router"));
}

TEST(Forward, FailsARowWhoseSumIsFlagged) {
  Rig rig((TinyModel("qwen3moe")));
  KvCache first = rig.cache();
  KvCache second = rig.cache();
  ScriptedExecutor executor;
  executor.flag_row = 1;
  const ForwardRow rows[] = {{1, 0, &first, true}, {1, 0, &second, true}};
  Status step = run_step(rig.forward, rows, executor);
  ASSERT_FALSE(step.ok());
  EXPECT_EQ(step.error().code, ErrorCode::kArithmetic);
  EXPECT_TRUE(rig.forward.row_status(0).ok());
  EXPECT_FALSE(rig.forward.row_status(1).ok());
  // The next step starts clean.
  executor.flag_row.reset();
  EXPECT_TRUE(run_step(rig.forward, rows, executor).ok());
}

TEST(Forward, FailsARowWhoseLogitsAreNotFinite) {
  TinyModel tiny("qwen3");
  tiny.tensors["output.weight"].values[70] = kInfiniteLogit;
  Rig rig(tiny);
  KvCache cache = rig.cache();
  const ForwardRow row{1, 0, &cache, true};
  Status step = run_step(rig.forward, {&row, 1}, rig.executor);
  ASSERT_FALSE(step.ok());
  EXPECT_THAT(step.error().message, HasSubstr("position 0, the logits"));
}

TEST(Forward, PassesOnTheExecutorsError) {
  Rig rig((TinyModel("qwen3moe")));
  KvCache cache = rig.cache();
  ScriptedExecutor executor;
  executor.answer = Error{ErrorCode::kTimeout, "no worker answered"};
  const ForwardRow row{1, 0, &cache, true};
  Status step = run_step(rig.forward, {&row, 1}, executor);
  ASSERT_FALSE(step.ok());
  EXPECT_EQ(step.error().message, "no worker answered");
  EXPECT_EQ(cache.length(), 0u);
  // The step that was left in the middle does not disturb the next.
  EXPECT_TRUE(run_step(rig.forward, {&row, 1}, rig.executor).ok());
}

TEST(ForwardDeathTest, RefusesRowsThatDoNotFollow) {
  Rig rig((TinyModel("qwen3")));
  KvCache cache = rig.cache();
  auto begin = [&](std::vector<ForwardRow> rows) { rig.forward.begin(rows); };
  EXPECT_DEATH(begin({}), "empty");
  EXPECT_DEATH(begin({{1, 1, &cache, true}}), "position");
  EXPECT_DEATH(begin({{1, 0, &cache, true}, {1, 2, &cache, true}}), "position");
  EXPECT_DEATH(begin({{TinyModel::kVocabulary, 0, &cache, true}}), "vocabulary");
  EXPECT_DEATH(begin({{-1, 0, &cache, true}}), "token");
  cache.set_length(256);
  EXPECT_DEATH(begin({{1, 256, &cache, true}}), "capacity");
}

}  // namespace
}  // namespace potluck
