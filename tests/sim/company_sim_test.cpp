// Any company: up to eight sessions at a time over a pool in virtual time, in any order, begun,
// cancelled, asked again and forked from one another's answers, with little memory, a disk, a
// restart in the middle, and workers that die: every session's tokens are those of its solo run.
// POTLUCK_SIM_SEED=n runs the seed n alone; POTLUCK_SIM_RUNS=n runs seeds 1 to n.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "coordinator/serving/completion_engine.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "engine/chat/answer_grammar.h"
#include "engine/model/step_run.h"
#include "tests/sim/seed_range.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kSeedsOfCompany = 6;
constexpr uint32_t kContext = 512;
constexpr uint32_t kMostAnswer = 14;
constexpr size_t kFreshSessions = 8;
constexpr size_t kMostAsked = 16;  // of each engine
constexpr uint64_t kMostTurns = 1'000'000;

class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed) {}
  uint64_t operator()(uint64_t below) { return random_.bits(++draws_) % below; }
  uint32_t between(uint32_t least, uint32_t most) {
    return least + static_cast<uint32_t>((*this)(most - least + 1));
  }

 private:
  CounterRandom random_;
  uint64_t draws_ = 0;
};

class Heard final : public CompletionSink {
 public:
  void on_event(const CompletionEvent& event) override {
    EXPECT_FALSE(finished || failed) << "an event after the last one";
    if (const auto* delta = std::get_if<CompletionDelta>(&event)) {
      tokens.insert(tokens.end(), delta->tokens.begin(), delta->tokens.end());
    }
    if (const auto* step = std::get_if<CompletionProgress>(&event)) progress = step->done;
    if (const auto* end = std::get_if<CompletionFinished>(&event)) finished = *end;
    if (const auto* failure = std::get_if<CompletionFailed>(&event)) failed = *failure;
  }
  bool is_done() const { return finished || failed; }

  uint32_t progress = 0;
  std::vector<TokenId> tokens;
  std::optional<CompletionFinished> finished;
  std::optional<CompletionFailed> failed;
};

struct AskedSession {
  CompletionRequest request;
  CompletionId id = 0;
  std::shared_ptr<Heard> heard = std::make_shared<Heard>();

  const std::vector<TokenId>& prompt() const {
    return std::get<std::vector<TokenId>>(request.prompt);
  }
};

std::vector<TokenId> words(const SimModel& model, uint64_t seed, uint32_t length) {
  CounterRandom random(seed);
  std::vector<TokenId> tokens;
  for (uint32_t i = 0; i < length; ++i) {
    tokens.push_back(static_cast<TokenId>(random.bits(i) % model.model().config().vocabulary));
  }
  return tokens;
}

// By nothing but steps, the sampler and the grammar.
std::vector<TokenId> solo_tokens(const SimModel& model, const AskedSession& asked) {
  const CompletionRequest& request = asked.request;
  std::vector<TokenId> tokens = asked.prompt();
  size_t prompt_tokens = tokens.size();
  ConstraintSupply constraints(model.model().tokenizer(), {});
  std::optional<Constraint> constraint;
  if (request.grammar) constraint = constraints.make(request.grammar, AnswerEntry::kAnswer);
  KvCache cache(model.model().config(), KvType::kF32, kContext + kMostAnswer);
  model.with_solo([&](Forward& forward, ExpertExecutor& executor) {
    while (tokens.size() < prompt_tokens + request.max_tokens) {
      std::vector<ForwardRow> rows;
      for (uint32_t p = cache.length(); p < tokens.size(); ++p) {
        rows.push_back({tokens[p], p, &cache, p + 1 == tokens.size()});
      }
      CHECK(run_step(forward, rows, executor).ok());
      std::shared_ptr<const TokenMask> mask;
      if (constraint) mask = *constraint->allowed();
      std::span<const uint64_t> allowed;
      if (mask != nullptr) allowed = mask->words();
      tokens.push_back(sample(forward.logits(0), tokens, tokens.size(), request.sampling,
                              prompt_tokens, allowed));
      if (constraint) CHECK(constraint->accept(tokens.back()).ok());
    }
  });
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(prompt_tokens));
  return tokens;
}

// All that happens with one seed.
class Company {
 public:
  Company(const SimModel& model, uint64_t seed)
      : model_(model),
        draws_(seed),
        pool_(pool_at_rest(model, seed)),
        first_(model.model(), model.kernels(), pool_->threads()),
        second_(model.model(), model.kernels(), pool_->threads()),
        price_(model.model().config(), KvType::kF32),
        trunk_(words(model, seed, 300)) {
    add_faults();
    auto grammar = make_answer_grammar(GbnfForm{"root ::= ([a-z]{1,9} [ .]){5000,6000}"}, {});
    CHECK(grammar.ok());
    grammar_ = *grammar;
  }

  void run() {
    bool spills = draws_(3) > 0;
    uint64_t quota = (price_.of_blocks(1) + 8192) * (1 + draws_(12));
    for (int engines = 0; engines < 2; ++engines) {
      std::unique_ptr<PrefixStore> store;
      if (spills) store = open_store(quota);
      EngineOptions options = draw_options();
      options.store = store.get();
      Forward* const forwards[] = {&first_, &second_};
      std::span<Forward* const> used(forwards, 1 + draws_(2));
      CompletionEngine engine({model_.model(), used, pool_->executor(), pool_->clock(), nullptr},
                              options);
      play(engine, options.kv_bytes);
      EXPECT_EQ(engine.reserved_bytes(), 0u);
      preemptions_ += engine.figures().preemptions;
      restored_ += engine.figures().restored_blocks;
      engine.save(Duration::max());
    }
  }

  void check() {
    for (const AskedSession& one : asked_) {
      ASSERT_FALSE(one.heard->failed) << one.heard->failed->message;
      ASSERT_TRUE(one.heard->finished);
      std::vector<TokenId> expected = solo_tokens(model_, one);
      bool was_cancelled = one.heard->finished->reason == FinishReason::kCancelled;
      if (was_cancelled) expected.resize(one.heard->tokens.size());
      EXPECT_EQ(one.heard->tokens, expected) << "session " << one.id;
      cached_ += one.heard->finished->usage.cached_tokens;
    }
    for (const std::string& violation : pool_->violations()) ADD_FAILURE() << violation;
  }

  const SimPool& pool() const { return *pool_; }
  uint64_t workers_lost() const { return pool_->core().cluster().workers_lost(); }
  uint64_t retried_work() const { return pool_->core().dispatcher().statistics().retries; }
  uint64_t cached() const { return cached_; }
  uint64_t cancelled() const { return cancelled_; }
  uint64_t forked() const { return forked_; }
  uint64_t preemptions() const { return preemptions_; }
  uint64_t restored() const { return restored_; }
  std::vector<std::vector<TokenId>> answers() const {
    std::vector<std::vector<TokenId>> answers;
    for (const AskedSession& one : asked_) answers.push_back(one.heard->tokens);
    return answers;
  }

 private:
  // One worker dies in any case; others do what workers do.
  void add_faults() {
    constexpr FaultKind kDeaths[] = {FaultKind::kKill, FaultKind::kVanish, FaultKind::kRestart};
    constexpr FaultKind kOthers[] = {FaultKind::kKill,    FaultKind::kVanish,  FaultKind::kRestart,
                                     FaultKind::kFreeze,  FaultKind::kCorrupt, FaultKind::kFlipBit,
                                     FaultKind::kNewcomer};
    size_t dying = draws_(3);
    pool_->add_fault({kDeaths[draws_(3)], 2 + draws_(120), dying, milliseconds(draws_(4000))});
    for (uint64_t more = draws_(4); more > 0; --more) {
      pool_->add_fault({kOthers[draws_(std::size(kOthers))], 2 + draws_(250), draws_(3),
                        milliseconds(20 + draws_(6000))});
    }
  }

  std::unique_ptr<PrefixStore> open_store(uint64_t quota) {
    const ModelConfig& config = model_.model().config();
    PrefixStoreOptions options;
    options.directory = "sessions";
    options.quota = quota;
    options.block_bytes = price_.of_blocks(1);
    options.checkpoint_bytes = RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(config),
                                                              config.recurrent_shape());
    auto store = PrefixStore::open(disk_, options, nullptr);
    CHECK(store.ok());
    return std::move(*store);
  }

  EngineOptions draw_options() {
    EngineOptions options;
    options.kv_type = KvType::kF32;
    options.context = kContext;
    options.kv_bytes = price_.of(kContext) + draws_(5) * price_.of(kKvBlockPositions);
    options.prefill_chunk = PrefillChunk::exactly(draws_.between(8, 64));
    options.most_active = draws_.between(1, 8);
    options.most_waiting = 2 * kMostAsked;
    return options;
  }

  void play(CompletionEngine& engine, uint64_t budget) {
    size_t fresh = 0;
    size_t asked = 0;
    uint64_t turns = 0;
    for (bool busy = true; busy || fresh < kFreshSessions;) {
      ASSERT_LT(++turns, kMostTurns) << "it does not end";
      if (fresh < kFreshSessions && draws_(busy ? 30 : 2) == 0) {
        ask(engine, draw_fresh());
        ++fresh;
        ++asked;
      }
      if (!asked_.empty() && asked < kMostAsked && draws_(120) == 0) {
        ask(engine, draw_another(asked_[draws_(asked_.size())]));
        ++asked;
      }
      if (!asked_.empty() && draws_(200) == 0) asked += cancel_one(engine, asked);
      busy = engine.turn(milliseconds(1 + draws_(100)));
      ASSERT_LE(engine.taken_bytes(), budget) << state_of(engine);
    }
  }

  // For a run that goes wrong.
  std::string state_of(const CompletionEngine& engine) const {
    ServiceFigures figures = engine.figures();
    std::string text =
        fmt::format("blocks: {} used, {} kept, {} free; {} bytes reserved", figures.kv_used_blocks,
                    figures.kv_kept_blocks, figures.kv_free_blocks, engine.reserved_bytes());
    for (const AskedSession& one : asked_) {
      if (one.heard->is_done()) continue;
      text +=
          fmt::format("\nsession {}: {} of {} tokens of the prompt, {} of {} of the answer{}",
                      one.id, one.heard->progress, one.prompt().size(), one.heard->tokens.size(),
                      one.request.max_tokens, one.request.background ? ", in the background" : "");
    }
    return text;
  }

  void ask(CompletionEngine& engine, CompletionRequest request) {
    AskedSession& one = asked_.emplace_back();
    one.request = std::move(request);
    one.id = engine.submit(one.request, one.heard);
  }

  // Some are asked for again. Returns how many were.
  size_t cancel_one(CompletionEngine& engine, size_t asked) {
    const AskedSession& one = asked_[draws_(asked_.size())];
    if (one.heard->is_done()) return 0;
    engine.cancel(one.id);
    ++cancelled_;
    if (asked >= kMostAsked || draws_(2) == 0) return 0;
    ask(engine, CompletionRequest(one.request));
    return 1;
  }

  CompletionRequest draw_fresh() {
    std::vector<TokenId> tokens(trunk_.begin(), trunk_.begin() + draws_.between(1, 300));
    std::vector<TokenId> own = words(model_, 1000 + draws_(5), draws_.between(0, 40));
    tokens.insert(tokens.end(), own.begin(), own.end());
    CompletionRequest request;
    request.prompt = std::move(tokens);
    request.max_tokens = draws_.between(1, kMostAnswer);
    request.sampling.seed = draws_(3);
    if (draws_(3) == 0) request.sampling.temperature = 0;
    if (draws_(3) == 0) request.sampling.frequency_penalty = 0.5;
    request.ignore_end = true;
    request.background = draws_(5) == 0;
    request.user = std::string(1, "ab"[draws_(2)]);
    if (draws_(4) == 0) request.grammar = grammar_;
    return request;
  }

  // The same again, another answer to the same, or what goes on from some of its answer so far.
  CompletionRequest draw_another(const AskedSession& from) {
    CompletionRequest request = from.request;
    if (draws_(3) == 0) return request;
    request.sampling.seed = draws_(100);
    request.max_tokens = draws_.between(1, kMostAnswer);
    if (draws_(3) == 0) return request;
    std::vector<TokenId> tokens = from.prompt();
    const std::vector<TokenId>& answer = from.heard->tokens;
    tokens.insert(tokens.end(), answer.begin(),
                  answer.begin() + static_cast<ptrdiff_t>(draws_(answer.size() + 1)));
    std::vector<TokenId> own = words(model_, 2000 + draws_(3), draws_.between(0, 30));
    tokens.insert(tokens.end(), own.begin(), own.end());
    tokens.resize(std::min<size_t>(tokens.size(), kContext - kMostAnswer));
    request.prompt = std::move(tokens);
    ++forked_;
    return request;
  }

  const SimModel& model_;
  Draws draws_;
  std::unique_ptr<SimPool> pool_;
  Forward first_;
  Forward second_;
  KvPrice price_;
  MemoryStorage disk_;
  std::vector<TokenId> trunk_;
  std::shared_ptr<const Grammar> grammar_;
  std::deque<AskedSession> asked_;  // stay in place
  uint64_t cached_ = 0;
  uint64_t cancelled_ = 0;
  uint64_t forked_ = 0;
  uint64_t preemptions_ = 0;
  uint64_t restored_ = 0;
};

class CompanySim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    attending_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
    recurrent_ = std::make_unique<SimModel>(test::data_path("arch/qwen3next/model.gguf"));
  }
  static void TearDownTestSuite() {
    attending_.reset();
    recurrent_.reset();
  }
  // With recurrent layers what is forked from are checkpoints.
  static const SimModel& model(uint64_t seed) { return seed % 3 == 0 ? *recurrent_ : *attending_; }

  static std::unique_ptr<SimModel> attending_;
  static std::unique_ptr<SimModel> recurrent_;
};

std::unique_ptr<SimModel> CompanySim::attending_;
std::unique_ptr<SimModel> CompanySim::recurrent_;

TEST_F(CompanySim, ChangesNoToken) {
  SeedRange seeds = seeds_to_run(kSeedsOfCompany);
  uint64_t sums[7] = {};
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    SCOPED_TRACE(testing::Message() << "replay with POTLUCK_SIM_SEED=" << seed);
    Company company(model(seed), seed);
    company.run();
    company.check();
    if (HasFailure()) {
      std::string log;
      for (const std::string& line : company.pool().log()) log += line + "\n";
      FAIL() << "seed " << seed << "\n" << log;
    }
    uint64_t counts[] = {company.cached(),      company.cancelled(), company.forked(),
                         company.preemptions(), company.restored(),  company.workers_lost(),
                         company.retried_work()};
    for (size_t i = 0; i < std::size(sums); ++i) sums[i] += counts[i];
  }
  const char* const names[] = {"cached",   "cancelled",    "forked", "preempted",
                               "restored", "workers_lost", "retried"};
  for (size_t i = 0; i < std::size(sums); ++i) {
    RecordProperty(names[i], std::to_string(sums[i]));
    if (seeds.last - seeds.first + 1 >= kSeedsOfCompany) {
      EXPECT_GT(sums[i], 0u) << names[i];
    }
  }
}

TEST_F(CompanySim, TheSameSeedTakesTheSameCourse) {
  std::vector<std::vector<TokenId>> answers[2];
  std::vector<std::string> logs[2];
  TimePoint ends[2];
  for (size_t i = 0; i < 2; ++i) {
    Company company(model(5), 5);
    company.run();
    answers[i] = company.answers();
    logs[i] = company.pool().log();
    ends[i] = company.pool().clock().now();
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(logs[0], logs[1]);
  EXPECT_EQ(ends[0], ends[1]);
}

}  // namespace
}  // namespace potluck::sim
