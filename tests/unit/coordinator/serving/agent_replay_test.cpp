// What an agent asks for: a long main thread, two helpers that come back, a title after each
// message of the user, and now and then a last message in another form. Almost nothing that an
// earlier request had is computed again, not even after a restart.
#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/engine_rig.h"

namespace potluck {
namespace {

using Tokens = std::vector<TokenId>;

constexpr uint32_t kTurns = 40;
constexpr uint32_t kAnswer = 12;

class Replay {
 public:
  explicit Replay(test::EngineRig& rig) : rig_(rig) {
    main_ = text(600);
    title_ = text(60);
    for (Tokens& helper : helpers_) {
      helper.assign(main_.begin(), main_.begin() + 300);  // they have the same tools
      append(&helper, text(200));
    }
  }

  void use(CompletionEngine* engine) { engine_ = engine; }

  void take_turn(uint32_t turn) {
    Tokens message = text(80 + turn * 37 % 100);
    if (turn % 9 == 4) main_.resize(before_last_);  // the user has changed it
    before_last_ = main_.size();
    append(&main_, message);
    answer(&main_);
    Tokens title = title_;
    append(&title, message);
    answer(&title);
    Tokens& helper = helpers_[turn % 2];
    append(&helper, text(90 + turn * 53 % 70));
    answer(&helper);
  }

  // Prompt tokens that were computed, and those that no earlier request had in common.
  uint64_t computed() const { return computed_; }
  uint64_t uncommon() const { return uncommon_; }
  const Tokens& main() const { return main_; }

 private:
  Tokens text(uint32_t length) { return rig_.prompt(++texts_, length); }
  static void append(Tokens* to, const Tokens& more) {
    to->insert(to->end(), more.begin(), more.end());
  }

  void answer(Tokens* tokens) {
    uint32_t common = 0;
    for (const Tokens& other : asked_) common = std::max(common, common_prefix(other, *tokens));
    auto length = static_cast<uint32_t>(tokens->size());
    uncommon_ += std::max(1U, length - common);
    auto told = test::submit(*engine_, test::ask(*tokens, kAnswer));
    test::run_to_end(*engine_);
    ASSERT_TRUE(told->finished);
    computed_ += length - told->finished->usage.cached_tokens;
    append(tokens, told->tokens);
    asked_.push_back(*tokens);
  }

  test::EngineRig& rig_;
  CompletionEngine* engine_ = nullptr;
  uint64_t texts_ = 0;
  Tokens main_;
  size_t before_last_ = 0;
  Tokens title_;
  Tokens helpers_[2];
  std::vector<Tokens> asked_;
  uint64_t computed_ = 0;
  uint64_t uncommon_ = 0;
};

class AgentReplay : public testing::TestWithParam<const char*> {
 protected:
  // Memory for what is gone on with, but not for every title.
  EngineOptions options() const {
    EngineOptions options;
    options.kv_type = KvType::kF32;
    options.context = 8192;
    KvPrice price(rig_.config(), KvType::kF32);
    options.kv_bytes = price.of(8192) + price.of_blocks(40);
    options.kv_bytes +=
        40 * RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(rig_.config()),
                                            rig_.config().recurrent_shape());
    return options;
  }
  void expect_as_alone(CompletionEngine& engine, Tokens tokens) {
    tokens.push_back(1);
    CompletionRequest last = test::ask(tokens, 4);
    auto told = test::submit(engine, last);
    test::run_to_end(engine);
    EXPECT_GT(told->finished->usage.cached_tokens + 16, tokens.size());
    EXPECT_EQ(told->tokens, rig_.alone(last));
  }

  test::EngineRig rig_{GetParam()};
};

TEST_P(AgentReplay, ComputesWhatIsNew) {
  auto engine = rig_.make(options());
  Replay replay(rig_);
  replay.use(engine.get());
  for (uint32_t turn = 0; turn < kTurns; ++turn) replay.take_turn(turn);
  auto ratio = static_cast<double>(replay.computed()) / static_cast<double>(replay.uncommon());
  RecordProperty("ratio", std::to_string(ratio));
  EXPECT_LE(ratio, 1.05) << replay.computed() << " of " << replay.uncommon();
  expect_as_alone(*engine, replay.main());
}

TEST_P(AgentReplay, ComputesLittleMoreAfterARestart) {
  MemoryStorage disk;
  Replay replay(rig_);
  for (uint32_t half = 0; half < 2; ++half) {
    auto store = rig_.open_store(disk, kGiB);
    EngineOptions with_store = options();
    with_store.store = store.get();
    auto engine = rig_.make(with_store);
    replay.use(engine.get());
    uint64_t computed = replay.computed();
    uint64_t uncommon = replay.uncommon();
    for (uint32_t turn = 0; turn < kTurns / 2; ++turn) replay.take_turn(half * kTurns / 2 + turn);
    auto ratio = static_cast<double>(replay.computed() - computed) /
                 static_cast<double>(replay.uncommon() - uncommon);
    RecordProperty("ratio_" + std::to_string(half), std::to_string(ratio));
    EXPECT_LE(ratio, 1.1) << "half " << half;
    if (half == 1) expect_as_alone(*engine, replay.main());
    engine->save(Duration::max());
  }
}

INSTANTIATE_TEST_SUITE_P(Families, AgentReplay, testing::Values("qwen3moe", "qwen35moe"));

}  // namespace
}  // namespace potluck
