// What configurations are refused, field by field. What files can say of them is in
// config_test.cpp.
#include <cmath>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/config.h"

namespace potluck {
namespace {

using ::testing::HasSubstr;

// Two layers of attention, the second with a window and smaller heads; experts beside a dense part.
ModelConfig mixed_config() {
  ModelConfig config;
  config.layers = 4;
  config.hidden = 64;
  config.vocabulary = 100;
  config.trained_context = 512;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 32;
  config.value_dim = 32;
  config.attention_scale = 1;
  config.norm_epsilon = 1e-6F;
  config.rope.dimensions = 32;
  config.rope.base = 10000;
  config.sliding_window = 8;
  config.window_layers = {0, 1, 0, 1};
  config.window_rope = config.rope;
  config.window_rope.dimensions = 16;
  config.layer_ropes = {LayerRope::kMain, LayerRope::kWindow, LayerRope::kMain, LayerRope::kWindow};
  config.layer_head_dims = {32, 16, 32, 16};
  config.layer_value_dims = {32, 16, 32, 16};
  config.kv_layers = {0, 1, 0, 1};
  config.key_values = {1, 0, 0, 0};
  config.post_norms = true;
  config.router.experts = 8;
  config.router.top_k = 2;
  config.expert_width = 32;
  config.ffn_width = 64;
  config.layer_ffn_widths = {64, 64, 32, 32};
  config.dense_beside_experts = true;
  config.logit_cap = 30;
  config.per_layer_width = 16;
  return config;
}

std::string refusal_of(const std::function<void(ModelConfig&)>& change) {
  ModelConfig config = mixed_config();
  change(config);
  Status checked = check_config(config);
  return checked ? "" : checked.error().message;
}

TEST(CheckConfig, TakesLayersThatDiffer) {
  EXPECT_EQ(refusal_of([](ModelConfig&) {}), "");
}

TEST(CheckConfig, RefusesSizesOfSingleLayers) {
  EXPECT_THAT(refusal_of([](auto& c) { c.layer_head_dims[1] = 12; }), HasSubstr("multiples of 8"));
  EXPECT_THAT(refusal_of([](auto& c) { c.layer_head_dims[1] = 64; }), HasSubstr("head size"));
  EXPECT_THAT(refusal_of([](auto& c) { c.layer_head_dims.pop_back(); }), HasSubstr("3 numbers"));
  EXPECT_THAT(refusal_of([](auto& c) { c.layer_value_dims[0] = 16; }),
              HasSubstr("cannot be values"));
  EXPECT_THAT(refusal_of([](auto& c) { c.window_rope.dimensions = 32; }),
              HasSubstr("rope turns 32 values of heads that have 16"));
  EXPECT_THAT(refusal_of([](auto& c) { c.layer_ffn_widths[1] = 128; }),
              HasSubstr("feed-forward width"));
  EXPECT_THAT(refusal_of([](auto& c) { c.layer_ffn_widths[1] = 0; }),
              HasSubstr("feed-forward width"));
}

// What is read must be there, have been stored, and look like what the layer would have stored.
TEST(CheckConfig, RefusesKeysAndValuesThatCannotBeShared) {
  const std::vector<uint32_t> wrong[] = {{0, 1, 1, 1}, {0, 1, 3, 1}, {0, 1, 2, 5},
                                         {2, 1, 2, 1}, {0, 1, 0},    {0, 1, 0, 0}};
  for (const std::vector<uint32_t>& layers : wrong) {
    EXPECT_THAT(refusal_of([&](auto& c) { c.kv_layers = layers; }), HasSubstr("should share"));
  }
  EXPECT_EQ(refusal_of([](auto& c) { c.kv_layers = {0, 1, 2, 3}; }), "");
  EXPECT_THAT(refusal_of([](auto& c) {
                c.layer_kv_heads = {2, 2, 1, 2};
              }),
              HasSubstr("should share"));
}

TEST(CheckConfig, RefusesWhatExpertsCannotDo) {
  auto scaled = [](ModelConfig& c) {
    c.router.scales_input = true;
    c.dense_beside_experts = false;
    c.leading_dense_layers = 1;
  };
  EXPECT_THAT(refusal_of(scaled), HasSubstr("only that of one"));
  EXPECT_EQ(refusal_of([&](auto& c) { scaled(c), c.router.top_k = 1; }), "");
  EXPECT_THAT(refusal_of([](auto& c) { c.post_norms = false; }), HasSubstr("beside a dense part"));
  EXPECT_THAT(refusal_of([](auto& c) { c.shared_width = 32; }), HasSubstr("beside a dense part"));
}

TEST(CheckConfig, RefusesLimitsThatAreNone) {
  auto limited = [](std::vector<float> limits) {
    return [limits](ModelConfig& c) {
      c.expert_activation = ExpertActivation::kSwiGluClampAfter;
      c.expert_limits = limits;
    };
  };
  EXPECT_EQ(refusal_of(limited({0, 1, 7, 0})), "");
  for (float limit : {-1.0F, INFINITY, NAN}) {
    EXPECT_THAT(refusal_of(limited({0, limit, 7, 0})), HasSubstr("a limit of"));
  }
  EXPECT_THAT(refusal_of(limited({1, 1})), HasSubstr("4 layers have 2 limits"));
  EXPECT_THAT(refusal_of([](auto& c) { c.ffn_limits = {1, 1, 1, 1}; }), HasSubstr("4 limits"));
}

TEST(CheckConfig, RefusesScalesThatAreNoNumbers) {
  for (float cap : {-1.0F, INFINITY, NAN}) {
    EXPECT_THAT(refusal_of([&](auto& c) { c.logit_cap = cap; }), HasSubstr("capped"));
    EXPECT_THAT(refusal_of([&](auto& c) { c.query_temperature = {8, cap}; }), HasSubstr("grow"));
  }
}

TEST(ModelConfig, LimitsLayerByLayer) {
  ModelConfig config;
  config.expert_activation = ExpertActivation::kSwiGluClampBefore;
  config.expert_limits = {0, 7};
  EXPECT_EQ(config.expert_activation_of(0), Activation{});
  EXPECT_EQ(config.expert_activation_of(1), (Activation{ExpertActivation::kSwiGluClampBefore, 7}));
  EXPECT_EQ(config.ffn_activation_of(1), Activation{});
}

TEST(QueryTemperature, GrowsInSteps) {
  const QueryTemperature temperature{8192, 0.1};
  for (uint32_t position : {0U, 5000U, 8190U}) EXPECT_EQ(temperature.at(position), 1.0F);
  EXPECT_NEAR(temperature.at(8191), 1 + 0.1 * std::log(2.0), 1e-7);
  EXPECT_EQ(temperature.at(8191), temperature.at(16382));
  EXPECT_NEAR(temperature.at(16383), 1 + 0.1 * std::log(3.0), 1e-7);
}

}  // namespace
}  // namespace potluck
