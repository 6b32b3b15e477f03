// Same bits everywhere: nothing that is chosen for speed or convenience may show in logits or
// tokens. Each test compares one such choice with the plainest run. The digests of the plain runs
// are committed, so a change of the arithmetic cannot go unnoticed.
#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/model/sampler.h"
#include "engine/model/step_run.h"
#include "tests/golden/digests.h"
#include "tests/golden/golden_support.h"

namespace potluck::test {
namespace {

constexpr uint64_t kSeed = 20260823;
// More than one attention chunk, and no multiple of what steps are cut into.
constexpr uint32_t kPromptTokens = kAttentionChunk + 45;
constexpr uint32_t kGreedyTokens = 24;

std::vector<TokenId> random_prompt(const ModelConfig& config, uint32_t count, uint64_t seed) {
  std::vector<TokenId> tokens;
  for (uint32_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<TokenId>(CounterRandom(seed).bits(i) % config.vocabulary));
  }
  return tokens;
}

struct InvarianceCase {
  const char* name;
  std::string path;
  const char* digest;
};
std::ostream& operator<<(std::ostream& out, const InvarianceCase& test) {
  return out << test.name;
}

std::vector<InvarianceCase> fixture_cases() {
  std::vector<InvarianceCase> cases;
  for (const auto& [name, digest] : digests::kFixtureDigests) {
    cases.push_back({name, data_path(std::string("arch/") + name + "/model.gguf"), digest});
  }
  return cases;
}

class Invariance : public ::testing::TestWithParam<InvarianceCase> {
 protected:
  void SetUp() override {
    if (GetParam().path.empty()) GTEST_SKIP() << "the model file is not here";
  }

  static GoldenRun run(const SoloOptions& options, uint32_t prefill_chunk,
                       KvType type = KvType::kF32) {
    SoloEngine engine(GetParam().path, options);
    std::vector<TokenId> prompt = random_prompt(engine.config(), kPromptTokens, kSeed);
    return run_golden(engine, prompt, kGreedyTokens, prefill_chunk, type);
  }
  static GoldenRun plain() { return run({}, 512); }
};

TEST_P(Invariance, HasTheCommittedDigest) {
  EXPECT_EQ(plain().digest(), GetParam().digest);
}

TEST_P(Invariance, PrefillChunks) {
  GoldenRun expected = plain();
  for (uint32_t chunk : {1, 7, 100}) EXPECT_EQ(run({}, chunk), expected) << chunk;
}

TEST_P(Invariance, Threads) {
  GoldenRun expected = plain();
  EXPECT_EQ(run({"", 2, true}, 512), expected);
  EXPECT_EQ(run({"", 3, true}, 7), expected);
}

TEST_P(Invariance, Kernels) {
  GoldenRun expected = plain();
  for (const KernelTable* kernels : available_kernels()) {
    EXPECT_EQ(run({std::string(kernels->name), 2, true}, 512), expected) << kernels->name;
  }
}

TEST_P(Invariance, SourceOfExperts) {
  EXPECT_EQ(run({"", 2, false}, 512), plain());
}

TEST_P(Invariance, SmallerCaches) {
  GoldenRun full = plain();
  GoldenRun half = run({}, 512, KvType::kF16);
  GoldenRun blocks = run({}, 512, KvType::kQ8_0);
  EXPECT_EQ(run({"", 2, true}, 7, KvType::kF16), half);
  for (const KernelTable* kernels : available_kernels()) {
    EXPECT_EQ(run({std::string(kernels->name), 2, true}, 7, KvType::kQ8_0), blocks)
        << kernels->name;
  }
  EXPECT_NE(half.logits, full.logits);  // the types must have been used at all
  EXPECT_NE(blocks.logits, half.logits);
  std::vector<double> exact(full.logits.begin(), full.logits.end());
  // Which positions an indexer chooses is a jump: with random weights, rounding moves some of them.
  SoloEngine engine(GetParam().path, {});
  const bool jumps = engine.config().indexer.kind != IndexerKind::kNone;
  EXPECT_LE(relative_difference(blocks.logits, exact), jumps ? 0.5 : 0.1);
}

// Two sessions whose rows share every step, one of them still reading its prompt while the other
// generates.
TEST_P(Invariance, SessionsInOneStep) {
  SoloEngine engine(GetParam().path, {"", 2, true});
  std::vector<TokenId> prompts[] = {random_prompt(engine.config(), 300, 1),
                                    random_prompt(engine.config(), 40, 2)};
  std::vector<TokenId> alone[2];
  for (int i = 0; i < 2; ++i) alone[i] = run_golden(engine, prompts[i], 20, 512).tokens;

  KvCache caches[] = {KvCache(engine.config(), KvType::kF32, 512),
                      KvCache(engine.config(), KvType::kF32, 512)};
  std::vector<TokenId> together[2];
  while (together[0].size() < 20 || together[1].size() < 20) {
    std::vector<ForwardRow> rows;
    int session_of_logits[2];
    int wanted = 0;
    for (int i = 0; i < 2; ++i) {
      if (together[i].size() == 20) continue;
      uint32_t length = caches[i].length();
      auto end = std::min<uint32_t>(length + 16, static_cast<uint32_t>(prompts[i].size()));
      for (uint32_t p = length; p < end; ++p) {
        bool last = p + 1 == prompts[i].size();
        rows.push_back({prompts[i][p], p, &caches[i], last});
        if (last) session_of_logits[wanted++] = i;
      }
    }
    ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
    for (int i = 0; i < wanted; ++i) {
      int session = session_of_logits[i];
      TokenId token = argmax(engine.forward().logits(static_cast<uint32_t>(i)));
      together[session].push_back(token);
      prompts[session].push_back(token);
    }
  }
  EXPECT_EQ(together[0], alone[0]);
  EXPECT_EQ(together[1], alone[1]);
}

// Going back and on again leaves no trace of what stood there before.
TEST_P(Invariance, Rewinding) {
  SoloEngine engine(GetParam().path, {});
  std::vector<TokenId> prompt = random_prompt(engine.config(), 290, 3);
  GoldenRun fresh = run_golden(engine, prompt, 10, 512);

  std::vector<TokenId> detour = random_prompt(engine.config(), 290, 4);
  std::copy_n(prompt.begin(), 200, detour.begin());
  KvCache cache(engine.config(), KvType::kF32, 512);
  ASSERT_TRUE(score_tokens(engine.scoring(cache, 512), detour).ok());
  // A recurrent state goes back to where it is known: here, to the start.
  bool recurrent = KvMemory::recurrent_layers(engine.config()) > 0;
  uint32_t from = cache.rewind(200);
  EXPECT_EQ(from, recurrent ? 0u : 200u);
  std::vector<ForwardRow> rows;
  for (uint32_t p = from; p < prompt.size(); ++p) {
    rows.push_back({prompt[p], p, &cache, p + 1 == prompt.size()});
  }
  ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
  std::span<const float> logits = engine.forward().logits(0);
  EXPECT_TRUE(std::ranges::equal(logits, fresh.logits));
  auto tokens = continue_greedily(engine.scoring(cache, 512),
                                  std::vector<float>(logits.begin(), logits.end()), 10);
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(*tokens, fresh.tokens);
}

// A cache that shares the first positions continues like one of its own, and the source like
// before. A recurrent state can be copied where it is known.
TEST_P(Invariance, SharedPrefix) {
  SoloEngine engine(GetParam().path, {});
  std::vector<TokenId> first = random_prompt(engine.config(), 290, 3);
  std::vector<TokenId> second = random_prompt(engine.config(), 300, 4);
  std::copy_n(first.begin(), 270, second.begin());
  GoldenRun first_alone = run_golden(engine, first, 10, 512);
  GoldenRun second_alone = run_golden(engine, second, 10, 512);
  auto go_on = [&](KvCache& cache, std::span<const TokenId> tokens) {
    std::vector<ForwardRow> rows;
    for (uint32_t p = cache.length(); p < tokens.size(); ++p) {
      rows.push_back({tokens[p], p, &cache, p + 1 == tokens.size()});
    }
    EXPECT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
    std::span<const float> logits = engine.forward().logits(0);
    return std::vector<float>(logits.begin(), logits.end());
  };
  auto memory = std::make_shared<KvMemory>(engine.config(), KvType::kF32, 6);
  KvCache source(engine.config(), memory, 512);
  go_on(source, std::span(first).first(260));
  source.checkpoint();
  go_on(source, std::span(first).first(280));
  bool recurrent = KvMemory::recurrent_layers(engine.config()) > 0;
  EXPECT_EQ(source.copyable(270), recurrent ? 260u : 270u);
  KvCache copy(engine.config(), memory, 512);
  EXPECT_EQ(copy.share_prefix(source, 270), recurrent ? 260u : 270u);
  EXPECT_EQ(memory->taken(), 2u) << "nothing is copied before it is written";
  EXPECT_EQ(go_on(copy, second), second_alone.logits);
  EXPECT_EQ(go_on(source, first), first_alone.logits);
  KvCache whole(engine.config(), memory, 512);
  EXPECT_EQ(whole.share_prefix(source, 290), 290u);
}

// Blocks and a checkpoint, copied byte by byte as onto a disk and back, are all there is to know of
// a conversation.
TEST_P(Invariance, CopiedBlocksAndCheckpoint) {
  SoloEngine engine(GetParam().path, {});
  std::vector<TokenId> prompt = random_prompt(engine.config(), 290, 3);
  GoldenRun fresh = run_golden(engine, prompt, 1, 512);
  auto go_on = [&](KvCache& cache, uint32_t end) {
    std::vector<ForwardRow> rows;
    for (uint32_t p = cache.length(); p < end; ++p) {
      rows.push_back({prompt[p], p, &cache, p + 1 == end});
    }
    ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
  };
  KvCache source(engine.config(), KvType::kF32, 512);
  go_on(source, 259);
  std::shared_ptr<const RecurrentSnapshot> checkpoint = source.checkpoint();
  auto memory = std::make_shared<KvMemory>(engine.config(), KvType::kF32, 2);
  std::vector<KvBlock> blocks;
  for (const KvBlock& block : source.blocks()) {
    blocks.push_back(std::move(*memory->take()));
    std::copy_n(block.data(), memory->block_bytes(), blocks.back().data());
  }
  KvCache copy(engine.config(), memory, 512);
  copy.begin(std::move(blocks), 259, checkpoint.get());
  go_on(copy, 290);
  EXPECT_TRUE(std::ranges::equal(engine.forward().logits(0), fresh.logits));
}

// With a checkpoint nothing before it is computed again.
TEST_P(Invariance, RewindingToACheckpoint) {
  SoloEngine engine(GetParam().path, {});
  std::vector<TokenId> prompt = random_prompt(engine.config(), 290, 3);
  GoldenRun fresh = run_golden(engine, prompt, 10, 512);
  KvCache cache(engine.config(), KvType::kF32, 512);
  auto run = [&](std::span<const TokenId> tokens) {
    std::vector<ForwardRow> rows;
    for (TokenId token : tokens) {
      auto position = cache.length() + static_cast<uint32_t>(rows.size());
      rows.push_back({token, position, &cache, rows.size() + 1 == tokens.size()});
    }
    ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
  };
  run(std::span(prompt).first(200));
  cache.checkpoint();
  std::vector<TokenId> detour = random_prompt(engine.config(), 80, 4);
  for (TokenId token : detour) run({&token, 1});
  ASSERT_EQ(cache.rewind(215), KvMemory::recurrent_layers(engine.config()) > 0 ? 200u : 215u);
  ASSERT_EQ(cache.rewind(200), 200u);
  run(std::span(prompt).subspan(200));
  EXPECT_TRUE(std::ranges::equal(engine.forward().logits(0), fresh.logits));
}

// A step of which only the beginning was right, as a speculative one may be: every length inside it
// can be gone back to, again and again, and what follows is what follows without the detour.
TEST_P(Invariance, RewindingIntoAStep) {
  SoloEngine engine(GetParam().path, {"", 2, true});
  std::vector<TokenId> prompt = random_prompt(engine.config(), 290, 3);
  GoldenRun fresh = run_golden(engine, prompt, 1, 512);
  std::vector<TokenId> detour = random_prompt(engine.config(), 40, 4);
  for (uint32_t chunk : {1u, 7u, 64u}) {
    KvCache cache(engine.config(), KvType::kF32, 512);
    auto run = [&](std::span<const TokenId> tokens, uint32_t most) {
      while (!tokens.empty()) {
        std::vector<ForwardRow> rows;
        for (TokenId token : tokens.first(std::min<size_t>(most, tokens.size()))) {
          auto position = cache.length() + static_cast<uint32_t>(rows.size());
          rows.push_back({token, position, &cache, true});
        }
        ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
        tokens = tokens.subspan(rows.size());
      }
    };
    run(std::span(prompt).first(200), chunk);
    // Right tokens, then wrong ones; `kept` of them stay.
    auto speculate = [&](uint32_t right, uint32_t wrong, uint32_t kept) {
      uint32_t begin = cache.length();
      std::vector<TokenId> tokens(prompt.begin() + begin, prompt.begin() + begin + right);
      tokens.insert(tokens.end(), detour.begin(), detour.begin() + wrong);
      run(tokens, static_cast<uint32_t>(tokens.size()));
      ASSERT_EQ(cache.rewind(begin + kept), begin + kept);
    };
    speculate(4, 5, 4);    // to 204
    speculate(1, 1, 1);    // from a state that is still to be settled
    speculate(0, 1, 0);    // a single token
    speculate(16, 0, 12);  // to 217, then further back
    ASSERT_EQ(cache.rewind(210), 210u);
    cache.checkpoint();
    run(detour, chunk);
    ASSERT_LE(cache.rewind(220), 220u);
    ASSERT_EQ(cache.rewind(210), 210u);
    speculate(3, 12, 0);  // back to where the step began
    speculate(2, 14, 2);
    run(std::span(prompt).subspan(212), chunk);
    uint32_t last = chunk == 1 ? 0 : (290 - 212 - 1) % chunk;
    EXPECT_TRUE(std::ranges::equal(engine.forward().logits(last), fresh.logits)) << chunk;
  }
}

// A step that fails on the way leaves a conversation as it was.
TEST_P(Invariance, FailedSteps) {
  class Refusing final : public ExpertExecutor {
   public:
    Ticket submit(const ExpertBatch&, ExpertSums*) override { return 0; }
    std::optional<Status> take_completed(Ticket) override {
      return Error{ErrorCode::kTimeout, "no worker answered"};
    }
    void turn(Duration) override {}
    void cancel(Ticket) override {}
  } refusing;
  SoloEngine engine(GetParam().path, {});
  if (engine.model().banks().empty()) GTEST_SKIP() << "a dense model calls no experts";
  std::vector<TokenId> prompt = random_prompt(engine.config(), 60, 5);
  GoldenRun fresh = run_golden(engine, prompt, 1, 512);
  KvCache cache(engine.config(), KvType::kF32, 512);
  for (uint32_t begin = 0; begin < 60; begin += 20) {
    std::vector<ForwardRow> rows;
    for (uint32_t p = begin; p < begin + 20; ++p) rows.push_back({prompt[p], p, &cache, p == 59});
    EXPECT_FALSE(run_step(engine.forward(), rows, refusing).ok());
    EXPECT_EQ(cache.length(), begin);
    ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
  }
  EXPECT_TRUE(std::ranges::equal(engine.forward().logits(0), fresh.logits));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Invariance, ::testing::ValuesIn(fixture_cases()),
                         [](const auto& test) { return test_name(test.param.name); });

INSTANTIATE_TEST_SUITE_P(Golden, Invariance,
                         ::testing::Values(InvarianceCase{"taleteller_Q4_K_M", taleteller_path(),
                                                          digests::kTaletellerQ4KM},
                                           InvarianceCase{
                                               "storyteller_Q8_0",
                                               shared_path("models/storyteller-Q8_0.gguf"),
                                               digests::kStorytellerQ80}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace potluck::test
