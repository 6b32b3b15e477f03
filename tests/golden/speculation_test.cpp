// Drafted tokens leave no trace: every family, with whatever its caches and states go back to after
// a draft that was wrong, tells what it tells without.
#include <gtest/gtest.h>

#include "coordinator/serving/completion_engine.h"
#include "engine/base/random.h"
#include "tests/golden/golden_support.h"
#include "tests/unit/coordinator/serving/recorded_answer.h"

namespace potluck::test {
namespace {

// Answers cross the end of a block of keys and values.
constexpr uint32_t kTokensBefore = kKvBlockPositions - 30;
constexpr uint32_t kTokensAfter = 60;

struct SpeculationCase {
  const char* name;
};
std::ostream& operator<<(std::ostream& out, const SpeculationCase& test) {
  return out << test.name;
}

std::vector<SpeculationCase> all_families() {
  std::vector<SpeculationCase> cases;
  for (const char* name : kFixtures) cases.push_back({name});
  return cases;
}

// Of few tokens, so that the same ones follow each other again and again; which comes next is still
// open.
CompletionRequest request_for(const ModelConfig& config, uint64_t seed) {
  CounterRandom random(seed);
  std::vector<TokenId> tokens;
  for (uint32_t i = 0; i < kTokensBefore; ++i) {
    tokens.push_back(static_cast<TokenId>(random.bits(i % (7 + seed)) % config.vocabulary));
  }
  CompletionRequest request;
  request.prompt = tokens;
  request.max_tokens = kTokensAfter;
  request.ignore_end = true;
  request.top_logprobs = 3;
  request.sampling.seed = seed;
  request.sampling.temperature = seed == 1 ? 0 : seed == 2 ? 0.7 : 4;
  request.sampling.repeat_penalty = seed == 3 ? 1.05 : 1;
  for (size_t i = 0; i < 3 && seed > 1; ++i) request.sampling.logit_bias.push_back({tokens[i], 50});
  return request;
}

struct Told {
  std::vector<std::shared_ptr<RecordedAnswer>> answers;
  ServiceFigures figures;
};

Told tell(SoloEngine& solo, SpeculationRule rule) {
  EngineOptions options;
  options.kv_type = KvType::kF16;
  options.context = 2 * kKvBlockPositions;
  options.kv_bytes = 4 * KvPrice(solo.config(), KvType::kF16).of(options.context);
  options.speculation = rule;
  const ManualClock clock;
  Forward* const forwards[] = {&solo.forward()};
  CompletionEngine engine({solo.model(), forwards, solo.executor(), clock}, options);
  Told told;
  for (uint64_t seed : {1, 2, 3}) {
    told.answers.push_back(std::make_shared<RecordedAnswer>());
    engine.submit(request_for(solo.config(), seed), told.answers.back());
  }
  while (engine.turn(Duration::zero())) {
  }
  told.figures = engine.figures();
  return told;
}

class Speculation : public ::testing::TestWithParam<SpeculationCase> {};

TEST_P(Speculation, LeavesNoTrace) {
  SoloEngine solo(data_path(std::string("arch/") + GetParam().name + "/model.gguf"), {"", 2, true});
  const Told plain = tell(solo, SpeculationRule::kOff);
  const Told drafted = tell(solo, SpeculationRule::kAlways);
  EXPECT_EQ(plain.figures.drafted_tokens, 0u);
  EXPECT_GT(drafted.figures.accepted_tokens, 0u);
  EXPECT_LT(drafted.figures.accepted_tokens, drafted.figures.drafted_tokens) << "none was wrong";
  for (size_t i = 0; i < plain.answers.size(); ++i) {
    SCOPED_TRACE(i);
    const RecordedAnswer& expected = *plain.answers[i];
    const RecordedAnswer& found = *drafted.answers[i];
    ASSERT_TRUE(expected.finished && found.finished);
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.content, expected.content);
    ASSERT_EQ(found.logprobs.size(), expected.logprobs.size());
    for (size_t j = 0; j < found.logprobs.size(); ++j) {
      EXPECT_EQ(found.logprobs[j].chosen.logprob, expected.logprobs[j].chosen.logprob) << j;
      EXPECT_EQ(found.logprobs[j].top.back().logprob, expected.logprobs[j].top.back().logprob);
    }
    EXPECT_EQ(found.finished->reason, expected.finished->reason);
    EXPECT_EQ(found.finished->decode_steps, expected.finished->decode_steps);
    EXPECT_EQ(found.finished->usage.completion_tokens, expected.finished->usage.completion_tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Speculation, ::testing::ValuesIn(all_families()),
                         [](const auto& test) { return test_name(test.param.name); });

}  // namespace
}  // namespace potluck::test
