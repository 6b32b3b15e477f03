#include "coordinator/plan/published_models.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "engine/model/config.h"

namespace potluck {
namespace {

PublishedFile must_find(const std::string& name) {
  Result<PublishedFile> file = find_published(name);
  EXPECT_TRUE(file.ok()) << name << ": " << file.error().message;
  return *file;
}

// What their publishers say of all parameters, in billions. Of three the layers that predict ahead,
// or what sees, are counted with them.
TEST(PublishedModels, HaveAsManyParametersAsTheirPublishersSay) {
  const std::map<std::string, double> billions = {{"olmoe-1b-7b", 6.9},
                                                  {"lfm2-8b-a1b", 8.3},
                                                  {"gpt-oss-20b", 20.9},
                                                  {"qwen1.5-moe-a2.7b", 14.3},
                                                  {"moonlight-16b-a3b", 16},
                                                  {"ernie-4.5-21b-a3b", 21.8},
                                                  {"gemma-4-26b-a4b", 25.2},
                                                  {"qwen3-30b-a3b", 30.5},
                                                  {"glm-4.7-flash", 30},
                                                  {"nemotron-3-nano-30b-a3b", 31.6},
                                                  {"granite-4.0-h-small", 32.2},
                                                  {"qwen3.6-35b-a3b", 35},
                                                  {"phi-3.5-moe", 41.9},
                                                  {"mixtral-8x7b", 46.7},
                                                  {"qwen3-next-80b-a3b", 80},
                                                  {"glm-4.5-air", 106},
                                                  {"llama-4-scout", 109},
                                                  {"gpt-oss-120b", 117},
                                                  {"minimax-m2", 229},
                                                  {"qwen3-235b-a22b", 235},
                                                  {"glm-4.6", 355},
                                                  {"deepseek-v3", 671},
                                                  {"deepseek-v3.2", 671},
                                                  {"glm-5.1", 744},
                                                  {"kimi-k2", 1026}};
  EXPECT_EQ(published_models().size(), billions.size());
  for (const auto& [name, expected] : billions) {
    const double found = static_cast<double>(must_find(name).parameters()) / 1e9;
    EXPECT_NEAR(found / expected, 1, 0.025) << name << " has " << found;
  }
}

TEST(PublishedModels, HaveNamesOfTheirOwnAndASource) {
  std::set<std::string> seen;
  for (const std::string& name : published_names()) {
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_EQ(find_published(name)->model->title,
              must_find("Someone/" + name + ":q8_0").model->title);
  }
  for (const PublishedModel& model : published_models()) {
    EXPECT_TRUE(model.source.starts_with("https://")) << model.title;
    EXPECT_TRUE(QuantizationMix::find(model.format)) << model.title;
    EXPECT_TRUE(std::ranges::any_of(architectures(), [&](const Architecture& known) {
      return known.name == model.architecture;
    })) << model.architecture;
  }
}

TEST(PublishedModels, AreFilesToThePlanner) {
  for (const PublishedModel& model : published_models()) {
    SCOPED_TRACE(std::string(model.title));
    const PublishedFile file = must_find(std::string(model.names.substr(0, model.names.find(' '))));
    const PlanModel plan = plan_model(file.tensors, file.config, file.banks);
    uint32_t layers = 0;
    double bytes = total_bytes(plan.head);
    for (const PlanLayer& layer : plan.layers) {
      layers += layer.count;
      bytes +=
          layer.count * (total_bytes(layer.dense) + total_bytes(layer.shared) + layer.bank_bytes());
      if (layer.experts > 0) {
        EXPECT_EQ(layer.top_k, model.top_k);
      }
    }
    EXPECT_EQ(layers, model.layers);
    // All but the embedding, where that is not the output too.
    EXPECT_LE(bytes, static_cast<double>(file.bytes()));
    EXPECT_GE(bytes, 0.9 * static_cast<double>(file.bytes()));
    for (const ExpertBank& bank : file.banks) EXPECT_TRUE(check_expert_shape(bank.shape).ok());
  }
}

TEST(PublishedModels, TakeAnyQuantization) {
  EXPECT_EQ(must_find("qwen3-30b-a3b").format, "Q4_K_M");
  EXPECT_EQ(must_find("gpt-oss-20b").format, "MXFP4_MOE");
  EXPECT_GT(must_find("Qwen3-30B-A3B:q8_0").bytes(), must_find("qwen3-30b-a3b:Q4_K_M").bytes());
  const Result<PublishedFile> wrong = find_published("qwen3-30b-a3b:Q4_K_XL");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(wrong.error().message.find("'Q4_K_XL' is not known; known are Q4_K_M"),
            std::string::npos);
  EXPECT_EQ(find_published("qwen3-31b").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(find_published("").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace potluck
