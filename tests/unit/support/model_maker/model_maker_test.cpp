// Made models of every family, as the engine sees them.
#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/hash.h"
#include "engine/base/memory_storage.h"
#include "tests/unit/support/model_maker/made_model.h"

namespace potluck::test {
namespace {

class Made : public ::testing::TestWithParam<std::string> {};

TEST_P(Made, GivesLogitsAroundOne) {
  MadeModel made(must_shape(GetParam()));
  Result<std::vector<float>> logits = made.run(some_tokens(6, 512));
  ASSERT_TRUE(logits.ok()) << logits.error().message;
  double deviation = deviation_of(*logits);  // false for a NaN
  EXPECT_TRUE(deviation > 0.3 && deviation < 3) << deviation;
}

// Every token and every earlier token counts.
TEST_P(Made, ReadsItsContext) {
  MadeModel made(must_shape(GetParam()));
  std::vector<TokenId> tokens = some_tokens(6, 512);
  std::vector<float> before = *made.run(tokens);
  ++tokens[2];
  std::vector<float> after = *made.run(tokens);
  for (size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
  EXPECT_GT(deviation_of(after), 1e-3);
}

// What the reader of the family's files makes of it is what was asked for.
TEST_P(Made, SaysWhatItIs) {
  ModelShape shape = must_shape(GetParam());
  MadeModel made(shape);
  const ModelConfig& c = made.model().config();
  EXPECT_EQ(c.architecture, shape.config.architecture);
  EXPECT_EQ(c.layers, shape.config.layers);
  EXPECT_EQ(c.hidden, shape.config.hidden);
  EXPECT_EQ(c.vocabulary, shape.config.vocabulary);
  EXPECT_EQ(c.heads, shape.config.heads);
  EXPECT_EQ(c.rope.base, shape.config.rope.base);
  EXPECT_EQ(c.rope.dimensions, shape.config.rope.dimensions);
  EXPECT_EQ(c.rope.scaling, shape.config.rope.scaling);
  EXPECT_EQ(c.rope.pairs, shape.config.rope.pairs);
  EXPECT_EQ(c.router.experts, shape.config.router.experts);
  EXPECT_EQ(c.router.top_k, shape.config.router.top_k);
  EXPECT_EQ(c.router.gating, shape.config.router.gating);
  EXPECT_EQ(c.router.normalize_weights, shape.config.router.normalize_weights);
  EXPECT_EQ(c.router.selection_bias, shape.config.router.selection_bias);
  EXPECT_EQ(c.router.groups, shape.config.router.groups);
  EXPECT_EQ(c.router.groups_used, shape.config.router.groups_used);
  EXPECT_EQ(c.router.weight_scale, shape.config.router.weight_scale);
  EXPECT_EQ(c.expert_width, shape.config.expert_width);
  EXPECT_EQ(c.leading_dense_layers, shape.config.leading_dense_layers);
  EXPECT_EQ(c.shared_width, shape.config.shared_width);
  EXPECT_EQ(c.shared_gate, shape.config.shared_gate);
  EXPECT_EQ(c.head_norm, shape.config.head_norm);
  EXPECT_EQ(c.projection_biases, shape.config.projection_biases);
  EXPECT_EQ(c.sliding_window, shape.config.sliding_window);
  EXPECT_EQ(c.latent.query_rank, shape.config.latent.query_rank);
  EXPECT_EQ(c.recurrent_shape().channels, shape.config.recurrent_shape().channels);
  EXPECT_EQ(c.mixers, shape.config.mixers);
  EXPECT_EQ(c.feed_forwards, shape.config.feed_forwards);
  EXPECT_EQ(c.expert_columns(), shape.config.expert_columns());
  EXPECT_EQ(c.expert_activation, shape.config.expert_activation);
  EXPECT_EQ(c.ffn_activation, shape.config.ffn_activation);
  EXPECT_EQ(c.residual_scale, shape.config.residual_scale);
  EXPECT_EQ(c.embedding_scale, shape.config.embedding_scale);
  EXPECT_EQ(c.logit_divisor, shape.config.logit_divisor);
  EXPECT_EQ(c.expert_scale, shape.config.expert_scale);
  EXPECT_EQ(c.expert_layer_step, shape.config.expert_layer_step);
  EXPECT_EQ(c.attention_gate, shape.config.attention_gate);
  EXPECT_EQ(c.rope_before_norm, shape.config.rope_before_norm);
  EXPECT_EQ(c.value_scale, shape.config.value_scale);
  EXPECT_EQ(c.sinks, shape.config.sinks);
  EXPECT_EQ(c.norm, shape.config.norm);
  EXPECT_EQ(c.parallel_block, shape.config.parallel_block);
  EXPECT_EQ(c.post_norms, shape.config.post_norms);
  EXPECT_EQ(c.logit_bias, shape.config.logit_bias);
  EXPECT_EQ(c.window_rope.base, shape.config.window_rope.base);
  EXPECT_EQ(c.window_rope.dimensions, shape.config.window_rope.dimensions);
  EXPECT_EQ(c.chunked_windows, shape.config.chunked_windows);
  EXPECT_EQ(c.query_temperature.interval, shape.config.query_temperature.interval);
  EXPECT_EQ(c.value_norm, shape.config.value_norm);
  EXPECT_EQ(c.router.input, shape.config.router.input);
  EXPECT_EQ(c.expert_scales, shape.config.expert_scales);
  EXPECT_EQ(c.router.scales_input, shape.config.router.scales_input);
  EXPECT_EQ(c.dense_beside_experts, shape.config.dense_beside_experts);
  EXPECT_EQ(c.layer_scales, shape.config.layer_scales);
  EXPECT_EQ(c.per_layer_width, shape.config.per_layer_width);
  EXPECT_EQ(c.logit_cap, shape.config.logit_cap);
  for (uint32_t layer = 0; layer < c.layers; ++layer) {
    EXPECT_EQ(c.heads_of(layer), shape.config.heads_of(layer)) << layer;
    EXPECT_EQ(c.kv_heads_of(layer), shape.config.kv_heads_of(layer)) << layer;
    EXPECT_EQ(c.has_indexer(layer), shape.config.has_indexer(layer)) << layer;
    EXPECT_EQ(c.window(layer), shape.config.window(layer)) << layer;
    EXPECT_EQ(c.rope_of(layer), shape.config.rope_of(layer)) << layer;
    if (c.latent.rank == 0) {  // where they follow from the rank
      EXPECT_EQ(c.head_dim_of(layer), shape.config.head_dim_of(layer)) << layer;
      EXPECT_EQ(c.value_dim_of(layer), shape.config.value_dim_of(layer)) << layer;
    }
    EXPECT_EQ(c.kv_layer_of(layer), shape.config.kv_layer_of(layer)) << layer;
    EXPECT_EQ(c.has_key_values(layer), shape.config.has_key_values(layer)) << layer;
    EXPECT_EQ(c.ffn_width_of(layer), shape.config.ffn_width_of(layer)) << layer;
    EXPECT_EQ(c.expert_activation_of(layer), shape.config.expert_activation_of(layer)) << layer;
    EXPECT_EQ(c.ffn_activation_of(layer), shape.config.ffn_activation_of(layer)) << layer;
    EXPECT_EQ(c.has_experts(layer), shape.config.has_experts(layer)) << layer;
  }
}

TEST_P(Made, HasATokenizer) {
  MadeModel made(must_shape(GetParam()));
  const Tokenizer* tokenizer = made.model().tokenizer();
  ASSERT_NE(tokenizer, nullptr) << made.model().tokenizer_error();
  std::string text = "a cat, \xc3\xa9t\xc3\xa9";
  auto tokens = tokenizer->encode(text, SpecialTokens::kAsText);
  ASSERT_TRUE(tokens.ok());
  EXPECT_LT(tokens->size(), text.size());  // some letters were merged
  std::string decoded;
  for (TokenId token : *tokens) decoded += tokenizer->bytes_of(token);
  EXPECT_EQ(decoded, text);
}

TEST_P(Made, IsTheSameForTheSameSeedOnly) {
  ModelShape shape = must_shape(GetParam());
  ByteVector bytes = make_bytes(must_plan(shape));
  EXPECT_EQ(sha256(bytes), sha256(make_bytes(must_plan(shape))));
  shape.seed = 2;
  EXPECT_NE(sha256(bytes), sha256(make_bytes(must_plan(shape))));
}

INSTANTIATE_TEST_SUITE_P(Families, Made, ::testing::ValuesIn(tiny_presets()), [](const auto& test) {
  std::string name = test.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(ModelMaker, KnowsEveryArchitectureThatTheEngineReads) {
  for (const Architecture& architecture : architectures()) {
    bool is_made = std::ranges::any_of(tiny_presets(), [&](const std::string& preset) {
      return must_shape(preset).config.architecture == architecture.name;
    });
    EXPECT_TRUE(is_made) << architecture.name;
  }
}

// In a deep model nothing vanishes or explodes.
TEST(ModelMaker, DeepModelsKeepTheirLogits) {
  ModelShape shape = must_shape("qwen3moe");
  shape.config.layers = 48;
  MadeModel made(shape);
  double deviation = deviation_of(*made.run(some_tokens(6, 512)));
  EXPECT_TRUE(deviation > 0.3 && deviation < 3) << deviation;
}

// What layers have for themselves is repeated, and as many of the last ones share keys and values.
TEST(ModelMaker, RepeatsThePatternOfLayers) {
  for (const char* preset : {"gemma4", "gemma4-small", "step35", "smallthinker"}) {
    ModelShape shape = must_shape(preset);
    shape.config.layers *= 2;
    MadeModel made(shape);
    const ModelConfig& c = made.model().config();
    EXPECT_EQ(c.layers, shape.config.layers);
    EXPECT_EQ(c.window(c.layers / 2), c.window(0));
    EXPECT_EQ(c.heads_of(c.layers / 2 + 1), c.heads_of(1));
    EXPECT_EQ(c.head_dim_of(c.layers / 2 + 1), c.head_dim_of(1));
    EXPECT_TRUE(made.run(some_tokens(4, 512)).ok()) << preset;
    if (shape.config.per_layer_width == 0) continue;
    EXPECT_EQ(c.kv_layer_of(9), 9u);
    EXPECT_EQ(c.kv_layer_of(10), 8u);
    EXPECT_EQ(c.kv_layer_of(11), 9u);
  }
}

TEST(ModelMaker, ReachesPublishedSizes) {
  ModelShape shape = must_shape("a3b");
  Result<ModelPlan> plan = plan_model(shape);
  ASSERT_TRUE(plan.ok());
  uint64_t parameters = 0;
  for (const TensorPlan& tensor : plan->tensors) parameters += tensor.rows() * tensor.dimensions[0];
  EXPECT_NEAR(static_cast<double>(parameters), 30.5e9, 0.1e9);
  EXPECT_NEAR(static_cast<double>(plan->file_bytes()), 17.3e9, 0.1e9);
}

TEST(ModelMaker, MixesFormatsAsAsked) {
  ModelShape shape = must_shape("mixtral");
  shape.config.hidden = 256;
  shape.config.expert_width = 256;
  shape.config.heads = 8;
  shape.format = "Q4_K";
  shape.tensor_formats = {"blk.1.ffn_down_exps.weight=Q6_K", "output.weight=Q8_0"};
  MadeModel made(shape);
  const GgufModel& file = made.model().file();
  EXPECT_EQ(file.find("blk.0.ffn_down_exps.weight")->type, TensorType::kQ4_K);
  EXPECT_EQ(file.find("blk.1.ffn_down_exps.weight")->type, TensorType::kQ6_K);
  EXPECT_EQ(file.find("output.weight")->type, TensorType::kQ8_0);
  EXPECT_EQ(file.find("blk.0.ffn_gate_inp.weight")->type, TensorType::kF32);
  EXPECT_TRUE(made.run(some_tokens(4, 512)).ok());
}

std::string refusal(const ModelShape& shape) {
  Result<ModelPlan> plan = plan_model(shape);
  return plan ? "" : plan.error().message;
}

TEST(ModelMaker, RefusesWhatMakesNoModel) {
  ModelShape shape = must_shape("qwen3moe");
  shape.format = "Q4_K";
  EXPECT_TRUE(refusal(shape).starts_with("token_embd.weight: rows of 64 values cannot be stored"));
  shape = must_shape("qwen3moe");
  shape.config.router.top_k = 9;
  EXPECT_EQ(refusal(shape), "9 experts are to be used for each token, but there are 8");
  shape = must_shape("qwen3moe");
  shape.config.vocabulary = 100;
  EXPECT_EQ(refusal(shape), "--vocab: at least 259 tokens, found 100");
  shape = must_shape("qwen3moe");
  shape.skew = -1;
  EXPECT_EQ(refusal(shape), "--skew: between 0 and 4, found -1");
  Result<ModelShape> unknown = make_shape("nonesuch");
  ASSERT_FALSE(unknown.ok());
  EXPECT_TRUE(unknown.error().message.starts_with("--preset: 'nonesuch' is not known"));
}

// The file system of the test says how much room there is; the sink fails half way.
TEST(ModelMaker, SaysWhenTheDiskIsFull) {
  ModelShape shape = must_shape("qwen3moe");
  Result<ModelPlan> plan = plan_model(shape);
  ASSERT_TRUE(plan.ok());
  MemorySink sink(plan->file_bytes() - 1);
  Status written = write_model(*plan, sink, {});
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, "no space left");

  TemporaryDirectory directory;
  MemoryStorage small_disk;
  ASSERT_TRUE(small_disk.make_directories(directory.path()).ok());
  small_disk.set_capacity(1);
  written = write_model_file(*plan, small_disk, directory / "m.gguf", {});
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("the disk has 1 left"), std::string::npos)
      << written.error().message;
  EXPECT_FALSE(std::filesystem::exists(directory / "m.gguf"));
  EXPECT_FALSE(std::filesystem::exists(directory / "m.gguf.part"));
}

TEST(ModelMaker, WritesSizesWithoutWeights) {
  const ModelShape shape = must_shape("qwen3moe");
  Result<ModelPlan> plan = plan_model(shape);
  ASSERT_TRUE(plan.ok());
  TemporaryDirectory directory;
  const std::string path = directory / "m.gguf";
  ASSERT_TRUE(write_model_sizes(*plan, path).ok());
  EXPECT_EQ(std::filesystem::file_size(path), plan->file_bytes());
  std::unique_ptr<Storage> storage = make_system_storage();
  Result<GgufModel> file = GgufModel::open(*storage, path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), plan->tensors.size());
  EXPECT_FALSE(write_model_sizes(*plan, directory / "no/m.gguf").ok());
}

TEST(ModelMaker, NamesAPathThatCannotBeWritten) {
  Result<ModelPlan> plan = plan_model(must_shape("qwen3moe"));
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "m.gguf");
  Status written = write_model_file(*plan, *make_system_storage(), directory / "m.gguf", {});
  ASSERT_FALSE(written.ok());
  EXPECT_TRUE(written.error().message.starts_with(directory / "m.gguf"));
  EXPECT_FALSE(std::filesystem::exists(directory / "m.gguf.part"));
}

}  // namespace
}  // namespace potluck::test
