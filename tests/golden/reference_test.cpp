// Models against results that other programs computed from the same files: the transformers library
// in float32 for the fixtures, llama.cpp for the trained models.
#include <cmath>

#include <gtest/gtest.h>

#include "engine/model/step_run.h"
#include "tests/golden/golden_support.h"

namespace potluck::test {
namespace {

class Fixture : public ::testing::TestWithParam<const char*> {};

TEST_P(Fixture, AgreesWithTransformers) {
  std::string folder = std::string("arch/") + GetParam();
  nlohmann::json reference = load_json(data_path(folder + "/reference.json"));
  SoloEngine engine(data_path(folder + "/model.gguf"), {});
  auto prompt = reference["prompt"].get<std::vector<TokenId>>();
  GoldenRun run = run_golden(engine, prompt, 24, 512);
  auto logits = reference["last_logits"].get<std::vector<double>>();
  EXPECT_LE(relative_difference(run.logits, logits), 2e-3);
  EXPECT_EQ(run.tokens, reference["greedy"].get<std::vector<TokenId>>());
  RecordProperty("relative_difference", std::to_string(relative_difference(run.logits, logits)));
}

INSTANTIATE_TEST_SUITE_P(Golden, Fixture, ::testing::ValuesIn(kFixtures),
                         [](const auto& test) { return test_name(test.param); });

// Logits of every position, and the mean over them: catches what shows only in some rows.
TEST_P(Fixture, AgreesAtEveryPosition) {
  std::string folder = std::string("arch/") + GetParam();
  nlohmann::json reference = load_json(data_path(folder + "/reference.json"));
  SoloEngine engine(data_path(folder + "/model.gguf"), {});
  auto tokens = reference["prompt"].get<std::vector<TokenId>>();
  for (TokenId token : reference["greedy"]) tokens.push_back(token);
  const nlohmann::json& expected = reference["logits_every_position_first16"];
  KvCache cache(engine.config(), KvType::kF32, 256);
  std::vector<ForwardRow> rows;
  for (uint32_t p = 0; p < expected.size(); ++p) rows.push_back({tokens[p], p, &cache, true});
  ASSERT_TRUE(run_step(engine.forward(), rows, engine.executor()).ok());
  for (uint32_t p = 0; p < expected.size(); ++p) {
    auto values = expected[p].get<std::vector<double>>();
    EXPECT_LE(relative_difference(engine.forward().logits(p).first(values.size()), values), 4e-3)
        << "position " << p;
  }
}

struct TrainedModel {
  const char* name;
  const char* format;
  std::string path;   // "": not here
  double perplexity;  // llama.cpp's, -c 512
};

class Trained : public ::testing::TestWithParam<TrainedModel> {};

// log-softmax, in double.
std::vector<float> log_probabilities(std::span<const float> logits) {
  double sum = 0;
  const double largest = *std::ranges::max_element(logits);
  for (float logit : logits) sum += std::exp(logit - largest);
  std::vector<float> result;
  for (float logit : logits) {
    result.push_back(static_cast<float>(logit - largest - std::log(sum)));
  }
  return result;
}

// The two engines quantize activations alike but add in another order: close, not equal.
TEST_P(Trained, IsCloseToLlamaCpp) {
  const TrainedModel& trained = GetParam();
  std::string reference_path =
      shared_path(std::string("models/") + trained.name + "-reference.json");
  if (trained.path.empty() || reference_path.empty()) GTEST_SKIP() << "no reference files here";
  nlohmann::json reference = load_json(reference_path);
  SoloEngine engine(trained.path, {"", 2, true});
  auto text = reference["text_ids_first_256"].get<std::vector<TokenId>>();
  GoldenRun run = run_golden(engine, text, 0, 512);
  const nlohmann::json& expected = reference[trained.format];
  // The references hold logits of one model, log-probabilities of the other.
  const bool logits = expected.contains("last_logits_after_256");
  double difference =
      relative_difference(logits ? run.logits : log_probabilities(run.logits),
                          expected[logits ? "last_logits_after_256" : "last_logprobs_after_256"]
                              .get<std::vector<double>>());
  RecordProperty("relative_difference", std::to_string(difference));
  EXPECT_LE(difference, 0.02);
}

TEST_P(Trained, HasLlamaCppsPerplexity) {
  std::string text_path = shared_path("fixtures/eval-text.txt");
  if (GetParam().path.empty() || text_path.empty()) GTEST_SKIP() << "no reference files here";
  SoloEngine engine(GetParam().path, {"", 2, true});
  ASSERT_NE(engine.model().tokenizer(), nullptr) << engine.model().tokenizer_error();
  auto text = read_file(*make_system_storage(), text_path, kMiB);
  ASSERT_TRUE(text.ok());
  auto tokens = engine.model().tokenizer()->encode(as_text(*text), SpecialTokens::kAsText);
  ASSERT_TRUE(tokens.ok());
  KvCache cache(engine.config(), KvType::kF32, 512);
  auto score = score_perplexity(engine.scoring(cache, 512), *tokens, 512, std::nullopt);
  ASSERT_TRUE(score.ok());
  RecordProperty("perplexity", std::to_string(score->perplexity));
  EXPECT_NEAR(score->perplexity, GetParam().perplexity, GetParam().perplexity * 0.005);
}

INSTANTIATE_TEST_SUITE_P(
    Golden, Trained,
    ::testing::Values(TrainedModel{"taleteller", "Q4_K_M", taleteller_path(), 42.04},
                      TrainedModel{"storyteller", "Q8_0",
                                   shared_path("models/storyteller-Q8_0.gguf"), 52.77},
                      TrainedModel{"storyteller", "Q4_K_M",
                                   shared_path("models/storyteller-Q4_K_M.gguf"), 52.97}),
    [](const auto& test) { return std::string(test.param.name) + "_" + test.param.format; });

}  // namespace
}  // namespace potluck::test
