// What a file's hyper-parameters become, and what is refused.
#include "engine/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/gguf/joined_experts.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;
using ::testing::HasSubstr;

Result<ModelConfig> read(const TinyModel& tiny) {
  auto file = tiny.open();
  EXPECT_TRUE(file.ok()) << file.error().message;
  return read_config(*file);
}

void expect_config_refused(const TinyModel& tiny, ErrorCode code, const std::string& part) {
  auto config = read(tiny);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, code) << config.error().message;
  EXPECT_THAT(config.error().message, HasSubstr(part));
  EXPECT_THAT(config.error().message, HasSubstr("tiny.gguf"));
}

TEST(Config, ReadsQwen3Moe) {
  auto config = read(TinyModel("qwen3moe"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->architecture, "qwen3moe");
  EXPECT_EQ(config->name, "tiny.gguf");
  EXPECT_EQ(config->layers, 2u);
  EXPECT_EQ(config->hidden, 32u);
  EXPECT_EQ(config->vocabulary, 48u);
  EXPECT_EQ(config->trained_context, 512u);
  EXPECT_EQ(config->group_size(), 2u);
  EXPECT_EQ(config->head_dim, 8u);
  EXPECT_EQ(config->value_dim, 8u);
  EXPECT_EQ(config->rope.dimensions, 8u);
  EXPECT_EQ(config->rope.base, 10000.0);
  EXPECT_EQ(config->norm_epsilon, 1e-6F);
  EXPECT_FLOAT_EQ(config->attention_scale, 0.35355339F);
  EXPECT_EQ(config->head_norm, HeadNorm::kPerHead);
  EXPECT_EQ(config->router.experts, 6u);
  EXPECT_EQ(config->router.top_k, 2u);
  EXPECT_TRUE(config->router.normalize_weights);
  EXPECT_EQ(config->expert_width, 32u);
  EXPECT_EQ(config->ffn_width, 0u);
  EXPECT_TRUE(config->has_experts(1));
}

TEST(Config, ReadsDenseQwen3) {
  auto config = read(TinyModel("qwen3"));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->router.experts, 0u);
  EXPECT_EQ(config->ffn_width, 32u);
  EXPECT_FALSE(config->has_experts(0));
}

TEST(Config, FillsInWhatFilesLeaveOut) {
  TinyModel tiny("qwen3");
  tiny.counts.erase("attention.head_count_kv");
  tiny.counts.erase("attention.key_length");
  tiny.counts.erase("attention.value_length");
  tiny.numbers.erase("rope.freq_base");
  tiny.texts["general.name"] = "Tiny";
  auto config = read(tiny);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->name, "Tiny");
  EXPECT_EQ(config->kv_heads, 4u);
  EXPECT_EQ(config->head_dim, 8u);  // hidden / heads
  EXPECT_EQ(config->value_dim, 8u);
  EXPECT_EQ(config->rope.base, 10000.0);
}

TEST(Config, RefusesUnknownArchitecturesWithTheKnownOnes) {
  TinyModel tiny("qwen3");
  tiny.architecture = "mamba";
  expect_config_refused(
      tiny, ErrorCode::kUnsupported,
      "'mamba' is not known; known are afmoe, bailingmoe2, cohere2moe, deepseek2, deepseek32, "
      "deepseek4, dots1, ernie4_5-moe, exaone-moe, gemma4, glm-dsa, glm4moe, gpt-oss, "
      "granitehybrid, granitemoe, hunyuan-moe, hy_v3, kimi-linear, lfm2moe, llama, llama4, mimo2, "
      "minimax-m2, "
      "minimax-m3, mistral4, nemotron_h_moe, olmoe, phimoe, qwen2moe, qwen3, qwen35moe, qwen3moe, "
      "qwen3next, qwen3vlmoe, smallthinker, step35");
}

TEST(Config, NamesWhatIsMissing) {
  for (const char* key :
       {"block_count", "embedding_length", "context_length", "attention.head_count", "expert_count",
        "expert_used_count", "expert_feed_forward_length"}) {
    TinyModel tiny("qwen3moe");
    tiny.counts.erase(key);
    expect_config_refused(tiny, ErrorCode::kNotFound, std::string("qwen3moe.") + key);
  }
  TinyModel tiny("qwen3moe");
  tiny.numbers.clear();
  expect_config_refused(tiny, ErrorCode::kNotFound, "layer_norm_rms_epsilon");
  tiny = TinyModel("qwen3moe");
  tiny.tensors.erase("token_embd.weight");
  expect_config_refused(tiny, ErrorCode::kNotFound, "token_embd.weight");
}

TEST(Config, HoldsEveryCountToItsLimit) {
  for (const char* key :
       {"block_count", "embedding_length", "context_length", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.value_length", "expert_count",
        "expert_used_count", "expert_feed_forward_length"}) {
    for (uint32_t value : {0u, UINT32_MAX}) {
      TinyModel tiny("qwen3moe");
      tiny.counts[key] = value;
      expect_config_refused(tiny, ErrorCode::kLimit, key);
    }
  }
}

TEST(Config, RefusesWhatTheEngineCannotCompute) {
  TinyModel tiny("qwen3moe");
  tiny.counts["attention.head_count_kv"] = 3;
  expect_config_refused(tiny, ErrorCode::kUnsupported,
                        "4 heads cannot be divided among 3 KV heads");

  tiny = TinyModel("qwen3moe");
  tiny.counts["attention.key_length"] = 12;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "multiples of 8");

  tiny = TinyModel("qwen3moe");
  tiny.counts["rope.dimension_count"] = 16;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "rope");
  tiny.counts["rope.dimension_count"] = 7;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "rope");

  tiny = TinyModel("qwen3moe");
  tiny.counts["expert_used_count"] = 7;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "7 experts");

  tiny = TinyModel("qwen3moe");
  tiny.numbers["attention.layer_norm_rms_epsilon"] = 0;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "epsilon");

  tiny = TinyModel("qwen3moe");
  tiny.numbers["rope.freq_base"] = -1;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "rope's base");
}

TEST(Config, RefusesUnknownRopeScalingRatherThanIgnoringIt) {
  TinyModel tiny("qwen3moe");
  tiny.texts["qwen3moe.rope.scaling.type"] = "none";
  EXPECT_TRUE(read(tiny).ok());
  tiny.texts["qwen3moe.rope.scaling.type"] = "dynamic";
  expect_config_refused(tiny, ErrorCode::kUnsupported, "'dynamic'");
  tiny.texts["qwen3moe.rope.scaling.type"] = "linear";
  expect_config_refused(tiny, ErrorCode::kNotFound, "rope.scaling.factor");
  tiny.numbers["rope.scaling.factor"] = 0.5F;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "rope's scaling");
  tiny.numbers["rope.scaling.factor"] = 4;
  auto linear = read(tiny);
  ASSERT_TRUE(linear.ok()) << linear.error().message;
  EXPECT_EQ(linear->rope.scaling, RopeScaling::kLinear);
  tiny.texts["qwen3moe.rope.scaling.type"] = "yarn";
  EXPECT_EQ(read(tiny)->rope.original_context, 512);  // the context it was trained with
  tiny.counts["rope.scaling.original_context_length"] = 64;
  auto yarn = read(tiny);
  ASSERT_TRUE(yarn.ok()) << yarn.error().message;
  EXPECT_EQ(yarn->rope.scaling, RopeScaling::kYarn);
  EXPECT_NEAR(yarn->rope.magnitude, 1.1386294, 1e-6);
}

TEST(Config, ReadsRopeScalingOfOldFiles) {
  TinyModel tiny("qwen3moe");
  tiny.numbers["rope.scale_linear"] = 4;
  EXPECT_EQ(read(tiny)->rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(read(tiny)->rope.factor, 4);
  tiny.numbers["rope.scaling.factor"] = 2;  // the newer key wins
  EXPECT_EQ(read(tiny)->rope.factor, 2);
  tiny.numbers["rope.scaling.factor"] = 0;
  EXPECT_EQ(read(tiny)->rope.scaling, RopeScaling::kNone);
}

// Numbers that are arrays of one number for every layer mean the same.
TEST(Config, TakesArraysThatSayTheSameForEveryLayer) {
  auto expected = read(TinyModel("qwen3moe"));
  for (const char* key :
       {"attention.head_count", "attention.head_count_kv", "attention.key_length", "expert_count",
        "expert_used_count", "expert_feed_forward_length", "embedding_length", "context_length"}) {
    TinyModel tiny("qwen3moe");
    const auto value = static_cast<int32_t>(tiny.counts[key]);
    tiny.counts.erase(key);
    for (const size_t length : {1U, 2U, 5U}) {
      tiny.arrays[key] = std::vector<int32_t>(length, value);
      auto config = read(tiny);
      ASSERT_TRUE(config.ok()) << config.error().message;
      EXPECT_EQ(config->kv_heads, expected->kv_heads);
      EXPECT_EQ(config->heads, expected->heads);
      EXPECT_EQ(config->router.experts, expected->router.experts);
    }
    if (!std::string_view(key).starts_with("attention.head_count")) {
      tiny.arrays[key] = {value, value + 8};
      expect_config_refused(tiny, ErrorCode::kUnsupported, std::string("qwen3moe.") + key + " is");
    }
    tiny.arrays[key] = {};
    expect_config_refused(tiny, ErrorCode::kCorrupt, key);
    tiny.arrays[key] = {-1, -1};
    expect_config_refused(tiny, ErrorCode::kCorrupt, key);
    tiny.arrays[key] = {INT32_MAX, INT32_MAX};
    expect_config_refused(tiny, ErrorCode::kLimit, key);
  }
}

TEST(Config, TakesHeadsLayerByLayer) {
  TinyModel tiny("qwen3moe");
  tiny.counts.erase("attention.head_count");
  tiny.counts.erase("attention.head_count_kv");
  tiny.arrays["attention.head_count"] = {4, 6};
  tiny.arrays["attention.head_count_kv"] = {4, 2};
  auto config = read(tiny);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->heads, 6u);
  EXPECT_EQ(config->kv_heads, 4u);
  EXPECT_EQ(config->group_size(0), 1u);
  EXPECT_EQ(config->group_size(1), 3u);
  tiny.arrays["attention.head_count_kv"] = {4, 4};
  expect_config_refused(tiny, ErrorCode::kUnsupported, "6 heads cannot be divided among 4");
  tiny.arrays["attention.head_count_kv"] = {4, -2};
  expect_config_refused(tiny, ErrorCode::kLimit, "attention.head_count_kv");
  tiny.arrays["attention.head_count_kv"] = {4, 0};
  expect_config_refused(tiny, ErrorCode::kLimit, "attention.head_count_kv");
}

// A Qwen3-MoE under the name of a family with windows.
TinyModel with_windows(const std::string& family) {
  TinyModel tiny("qwen3moe");
  tiny.architecture = family;
  tiny.counts["attention.sliding_window"] = 8;
  tiny.counts["expert_gating_func"] = 2;
  tiny.counts["leading_dense_block_count"] = 0;
  return tiny;
}

TEST(Config, TakesWindowsLayerByLayer) {
  TinyModel tiny = with_windows("exaone-moe");
  tiny.arrays["attention.sliding_window_pattern"] = {0, 1};
  auto config = read(tiny);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->window(0), 0u);
  EXPECT_EQ(config->window(1), 8u);
  EXPECT_EQ(config->rope_of(0), LayerRope::kNone);
  EXPECT_EQ(config->rope_of(1), LayerRope::kMain);
  tiny.numbers["rope.freq_base_swa"] = 500;
  EXPECT_EQ(read(tiny)->rope_of(1), LayerRope::kWindow);
  EXPECT_EQ(read(tiny)->window_rope.base, 500);
  tiny.arrays["attention.sliding_window_pattern"] = {1};
  expect_config_refused(tiny, ErrorCode::kCorrupt, "one value for each of 2 layers, found 1");
  tiny.arrays.clear();
  EXPECT_EQ(read(tiny)->window(1), 8u) << "of four layers the last sees everything";
  tiny.counts["attention.sliding_window_pattern"] = 2;
  EXPECT_EQ(read(tiny)->window(1), 0u);
  tiny.counts["attention.sliding_window_pattern"] = 0;
  expect_config_refused(tiny, ErrorCode::kLimit, "sliding_window_pattern");
  tiny = with_windows("exaone-moe");
  tiny.numbers["rope.freq_base_swa"] = 0;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "rope's base");
}

TEST(Config, FindsDenseLayersBySteps) {
  TinyModel tiny = with_windows("ernie4_5-moe");
  tiny.counts["interleave_moe_layer_step"] = 2;
  auto config = read(tiny);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_FALSE(config->has_experts(0));
  EXPECT_TRUE(config->has_experts(1));
  EXPECT_EQ(config->ffn_width, 32u);
  tiny.counts["interleave_moe_layer_step"] = 0;
  expect_config_refused(tiny, ErrorCode::kLimit, "interleave_moe_layer_step");
}

// Which norm Command A has, only the name of its epsilon says.
TEST(Config, KnowsTheNormByItsEpsilon) {
  TinyModel tiny = with_windows("cohere2moe");
  tiny.arrays["attention.sliding_window_pattern"] = {0, 1};
  tiny.numbers["logit_scale"] = 0.25F;
  auto config = read(tiny);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->norm, NormKind::kRms);
  EXPECT_EQ(config->logit_divisor, 4);
  EXPECT_EQ(config->expert_scale, 1) << "there is no shared expert";
  tiny.numbers.erase("attention.layer_norm_rms_epsilon");
  expect_config_refused(tiny, ErrorCode::kNotFound, "attention.layer_norm_epsilon");
  tiny.numbers["attention.layer_norm_epsilon"] = 1e-5F;
  EXPECT_EQ(read(tiny)->norm, NormKind::kLayer);
  tiny.numbers["logit_scale"] = 0;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "a scale of");
}

// Qwen3-MoE has no dense layers: what the array says of them makes no difference.
TEST(Config, DoesNotReadWhatNoLayerGoesBy) {
  TinyModel tiny("qwen3moe");
  tiny.counts.erase("feed_forward_length");
  tiny.arrays["feed_forward_length"] = {0, 32};
  EXPECT_TRUE(read(tiny).ok());
  tiny = TinyModel("qwen3");
  tiny.counts.erase("feed_forward_length");
  tiny.arrays["feed_forward_length"] = {32, 64};
  expect_config_refused(tiny, ErrorCode::kUnsupported,
                        "feed_forward_length is 32 for layer 0, but 64");
}

// Other programs go by these keys: leaving one out would change the model without a word.
TEST(Config, RefusesWhatItWouldHaveToIgnore) {
  for (const char* key :
       {"attention.clamp_kqv", "attention.max_alibi_bias", "attn_logit_softcapping"}) {
    TinyModel tiny("qwen3moe");
    tiny.numbers[key] = 0;
    EXPECT_TRUE(read(tiny).ok());
    tiny.numbers[key] = 30;
    expect_config_refused(tiny, ErrorCode::kUnsupported, key);
  }
  TinyModel tiny("qwen3moe");
  tiny.flags["attention.causal"] = true;
  EXPECT_TRUE(read(tiny).ok());
  tiny.flags["attention.causal"] = false;
  expect_config_refused(tiny, ErrorCode::kUnsupported, "attention.causal");
}

TEST(Config, LeavesLayersThatPredictAheadAside) {
  TinyModel tiny("qwen3moe");
  tiny.counts["nextn_predict_layers"] = 1;
  auto config = read(tiny);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->layers, 1u);
  EXPECT_EQ(config->next_token_layers, 1u);
  tiny.counts["nextn_predict_layers"] = 2;
  expect_config_refused(tiny, ErrorCode::kLimit, "nextn_predict_layers");
}

TEST(Config, NamesTheExpertThatIsMissingOrOneTooMany) {
  for (const uint32_t there : {5U, 7U}) {
    TinyModel tiny("qwen3moe");
    tiny.tensors.erase("blk.1.ffn_up_exps.weight");
    for (uint32_t expert = 0; expert < there; ++expert) {
      tiny.add(expert_tensor_name(1, "up", expert), {TinyModel::kHidden, TinyModel::kWidth});
    }
    auto file = tiny.open();
    ASSERT_TRUE(file.ok()) << file.error().message;
    auto banks = find_expert_banks(*file, *read_config(*file));
    ASSERT_FALSE(banks.ok());
    EXPECT_THAT(banks.error().message,
                HasSubstr(there == 5 ? "tensor blk.1.ffn_up.5.weight is missing"
                                     : "tensor blk.1.ffn_up.6.weight is one too many"));
  }
}

TEST(Config, FindsExpertBanks) {
  TinyModel tiny("qwen3moe");
  auto file = tiny.open();
  auto config = read_config(*file);
  auto banks = find_expert_banks(*file, *config);
  ASSERT_TRUE(banks.ok()) << banks.error().message;
  ASSERT_EQ(banks->size(), 2u);
  const ExpertBank& bank = (*banks)[1];
  EXPECT_EQ(bank.layer, 1u);
  EXPECT_EQ(bank.experts, 6u);
  EXPECT_EQ(bank.shape.hidden, 32u);
  EXPECT_EQ(bank.shape.width, 32u);
  EXPECT_EQ(bank.down->name, "blk.1.ffn_down_exps.weight");

  tiny.tensors.erase("blk.1.ffn_up_exps.weight");
  file = tiny.open();
  banks = find_expert_banks(*file, *config);
  ASSERT_FALSE(banks.ok());
  EXPECT_THAT(banks.error().message, HasSubstr("blk.1.ffn_up_exps.weight"));

  tiny.add("blk.1.ffn_up_exps.weight", {32, 32, 5});
  file = tiny.open();
  banks = find_expert_banks(*file, *config);
  ASSERT_FALSE(banks.ok());
  EXPECT_THAT(banks.error().message, HasSubstr("blk.1.ffn_up_exps.weight"));
}

}  // namespace
}  // namespace potluck
