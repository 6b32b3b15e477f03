// Many requests over a pool in virtual time, while workers die, vanish and answer nonsense: every
// request gets the tokens that it gets alone.
#include <map>

#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "coordinator/serving/completion_engine.h"
#include "engine/base/random.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Gathered final : public CompletionSink {
 public:
  void on_event(const CompletionEvent& event) override {
    if (const auto* delta = std::get_if<CompletionDelta>(&event)) {
      tokens.insert(tokens.end(), delta->tokens.begin(), delta->tokens.end());
    }
    if (const auto* end = std::get_if<CompletionFinished>(&event)) finished = *end;
  }

  std::vector<TokenId> tokens;
  std::optional<CompletionFinished> finished;
};

struct Asked {
  GenerateOptions task;
  CompletionId id = 0;
  std::shared_ptr<Gathered> told = std::make_shared<Gathered>();
};

// An engine over a pool, with two steps in flight.
struct ServedPool {
  ServedPool(SimModel& model, SimPool& pool, const EngineOptions& options)
      : first(model.model(), model.kernels(), pool.threads()),
        second(model.model(), model.kernels(), pool.threads()),
        engine({model.model(), forwards, pool.executor(), pool.clock(), nullptr}, options) {}

  Forward first;
  Forward second;
  Forward* const forwards[2] = {&first, &second};
  CompletionEngine engine;
};

class ServingSim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  // Six that begin alike to different lengths.
  static std::vector<Asked> some_tasks(uint64_t seed) {
    CounterRandom random(seed);
    std::vector<Asked> asked(6);
    for (size_t i = 0; i < asked.size(); ++i) {
      GenerateOptions& task = asked[i].task;
      task.prompt = model_->prompt(2 + static_cast<uint32_t>(random.bits(i) % 80));
      task.prompt.push_back(static_cast<TokenId>(1 + i % 3));
      task.tokens = 3 + static_cast<uint32_t>(random.bits(i, 1) % 8);
    }
    return asked;
  }

  // Prompts that repeat themselves, and longer answers.
  static std::vector<Asked> repeating_tasks(uint64_t seed) {
    std::vector<Asked> asked(4);
    for (size_t i = 0; i < asked.size(); ++i) {
      GenerateOptions& task = asked[i].task;
      const std::vector<TokenId> period = model_->prompt(5 + static_cast<uint32_t>((seed + i) % 9));
      for (int times = 0; times < 4; ++times) {
        task.prompt.insert(task.prompt.end(), period.begin(), period.end());
      }
      task.tokens = 40;
    }
    return asked;
  }

  // Memory for three conversations of full length.
  static EngineOptions some_options() {
    EngineOptions options;
    options.kv_type = KvType::kF32;
    options.context = 256;
    options.kv_bytes =
        3 * KvCache::bytes_for(model_->model().config(), options.kv_type, options.context);
    return options;
  }

  static CompletionRequest request_for(const Asked& one) {
    CompletionRequest request;
    request.prompt = one.task.prompt;
    request.max_tokens = one.task.tokens;
    request.sampling.temperature = 0;
    request.ignore_end = true;
    return request;
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> ServingSim::model_;

TEST_F(ServingSim, TokensDependOnNoFaultAndNoCompany) {
  size_t cancelled = 0;
  size_t cached = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::unique_ptr<SimPool> pool = pool_at_rest(*model_, seed);
    const FaultKind kinds[] = {FaultKind::kKill, FaultKind::kVanish, FaultKind::kFreeze,
                               FaultKind::kCorrupt, FaultKind::kRestart};
    for (size_t i = 0; i < 2 + seed % 2; ++i) {
      pool->add_fault({kinds[(seed + i) % 5], 3 + 11 * i + seed, i, seconds(2)});
    }
    EngineOptions options = some_options();
    options.prefill_chunk = PrefillChunk::exactly(16);
    ServedPool served(*model_, *pool, options);
    CompletionEngine& engine = served.engine;
    std::vector<Asked> asked = some_tasks(seed);
    for (Asked& one : asked) one.id = engine.submit(request_for(one), one.told);
    CounterRandom random(seed);
    for (uint64_t turn = 0; engine.turn(milliseconds(100)); ++turn) {
      if (random.bits(turn) % 200 == 0) engine.cancel(asked[turn % asked.size()].id);
    }
    for (const Asked& one : asked) {
      ASSERT_TRUE(one.told->finished);
      std::vector<TokenId> expected = model_->solo(one.task).tokens;
      bool was_cancelled = one.told->finished->reason == FinishReason::kCancelled;
      if (was_cancelled) expected.resize(one.told->tokens.size());
      EXPECT_EQ(one.told->tokens, expected);
      cancelled += was_cancelled ? 1 : 0;
      cached += one.told->finished->usage.cached_tokens;
    }
    EXPECT_TRUE(pool->violations().empty());
  }
  EXPECT_GT(cancelled, 0u);
  EXPECT_GT(cached, 100u);
}

// Rows that were computed in vain, and workers that are lost on the way, do not show either.
TEST_F(ServingSim, TokensDependOnNoDraft) {
  uint64_t drafted = 0;
  uint64_t accepted = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::unique_ptr<SimPool> pool = pool_at_rest(*model_, seed);
    pool->add_fault(
        {seed % 2 == 0 ? FaultKind::kKill : FaultKind::kCorrupt, 40 + 7 * seed, 0, seconds(2)});
    EngineOptions options = some_options();
    options.speculation = seed > 3 ? SpeculationRule::kMeasured : SpeculationRule::kAlways;
    ServedPool served(*model_, *pool, options);
    CompletionEngine& engine = served.engine;
    std::vector<Asked> asked = repeating_tasks(seed);
    for (Asked& one : asked) one.id = engine.submit(request_for(one), one.told);
    while (engine.turn(milliseconds(100))) {
    }
    for (const Asked& one : asked) {
      ASSERT_TRUE(one.told->finished);
      EXPECT_EQ(one.told->tokens, model_->solo(one.task).tokens);
    }
    drafted += engine.figures().drafted_tokens;
    accepted += engine.figures().accepted_tokens;
    EXPECT_TRUE(pool->violations().empty());
  }
  EXPECT_GT(accepted, 0U);
  EXPECT_LT(accepted, drafted);
}

}  // namespace
}  // namespace potluck::sim
