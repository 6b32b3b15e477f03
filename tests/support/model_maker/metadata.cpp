#include "tests/support/model_maker/metadata.h"

#include <algorithm>
#include <initializer_list>

#include "tests/support/model_maker/vocabulary.h"

namespace potluck::test {
namespace {

// Writes keys under the architecture's prefix.
class MetadataWriter {
 public:
  MetadataWriter(const ModelConfig& config, GgufBuilder* file) : c_(config), file_(*file) {}

  void add_sizes();
  void add_attention();
  void add_kv_heads();
  void add_head_sizes();
  void add_widths(uint32_t width);
  void add_rope();
  void add_experts();
  void add_limits(const std::string& key, const std::vector<float>& limits);
  void add_recurrent_layers();
  void add_indexer();
  void add_compressed_attention();
  void add_scales();

 private:
  void count(const std::string& key, uint32_t value) { file_.value<uint32_t>(full(key), value); }
  void number(const std::string& key, double value) {
    file_.value<float>(full(key), static_cast<float>(value));
  }
  std::string full(const std::string& key) const { return c_.architecture + "." + key; }
  bool is(std::string_view architecture) const { return c_.architecture == architecture; }
  bool is_one_of(std::initializer_list<std::string_view> names) const {
    return std::ranges::find(names, c_.architecture) != names.end();
  }
  bool has_router_keys() const {
    return is_one_of({"deepseek2", "glm4moe",     "minimax-m2",     "bailingmoe2",  "hy_v3",
                      "dots1",     "exaone-moe",  "afmoe",          "mimo2",        "cohere2moe",
                      "mistral4",  "minimax-m3",  "deepseek32",     "glm-dsa",      "deepseek4",
                      "lfm2moe",   "kimi-linear", "nemotron_h_moe", "smallthinker", "step35"});
  }
  // A number for each layer where layers differ, else one for all.
  void count_by_layer(const std::string& key, uint32_t all, const std::vector<uint32_t>& layers) {
    if (layers.empty()) return count(key, all);
    file_.array<int32_t>(full(key), std::vector<int32_t>(layers.begin(), layers.end()));
  }

  const ModelConfig& c_;
  GgufBuilder& file_;
};

void MetadataWriter::add_sizes() {
  count("block_count", c_.layers);
  count("context_length", c_.trained_context);
  count("embedding_length", c_.hidden);
  // Some families keep their experts' width under this key, qwen2moe its shared expert's.
  uint32_t width = c_.ffn_width > 0 ? c_.ffn_width : c_.expert_width;
  if (!c_.feed_forwards.empty()) {
    add_widths(width);
  } else if (!c_.layer_ffn_widths.empty()) {
    count_by_layer("feed_forward_length", width, c_.layer_ffn_widths);
  } else {
    count("feed_forward_length", is("qwen2moe") ? c_.shared_width : width);
  }
  count("vocab_size", c_.vocabulary);
}

// One for each layer, 0 where there is no feed-forward part.
void MetadataWriter::add_widths(uint32_t width) {
  std::vector<int32_t> widths;
  for (FeedForwardKind kind : c_.feed_forwards) {
    widths.push_back(kind == FeedForwardKind::kNone ? 0 : static_cast<int32_t>(width));
  }
  file_.array<int32_t>(full("feed_forward_length"), widths);
}

void MetadataWriter::add_attention() {
  count_by_layer("attention.head_count", c_.heads, c_.layer_heads);
  add_kv_heads();
  const bool says_norm = is("cohere2moe") && c_.norm == NormKind::kLayer;
  number(says_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
         c_.norm_epsilon);
  // llama.cpp asks for both.
  if (is("nemotron_h_moe")) number("attention.layer_norm_epsilon", c_.norm_epsilon);
  // What Llama 4 has, no key says.
  if (c_.sliding_window > 0 && !is("llama4")) count("attention.sliding_window", c_.sliding_window);
  if (!c_.window_layers.empty() && !is_one_of({"afmoe", "smallthinker"})) {
    file_.array<bool>(full("attention.sliding_window_pattern"),
                      std::vector<bool>(c_.window_layers.begin(), c_.window_layers.end()));
  }
  if (c_.value_scale != 1) number("attention.value_scale", c_.value_scale);
  if (c_.latent.rank == 0) return add_head_sizes();
  count("attention.key_length", c_.latent.rank + c_.latent.shared_dimensions);
  count("attention.value_length", c_.latent.rank);
  count("attention.kv_lora_rank", c_.latent.rank);
  if (c_.latent.query_rank > 0) count("attention.q_lora_rank", c_.latent.query_rank);
  count("attention.key_length_mla", c_.latent.plain_dimensions + c_.latent.shared_dimensions);
  count("attention.value_length_mla", c_.latent.value_dimensions);
}

// In models whose layers differ in them, those without a window come first.
void MetadataWriter::add_head_sizes() {
  auto add = [&](const std::string& suffix, uint32_t keys, uint32_t values) {
    count("attention.key_length" + suffix, keys);
    count("attention.value_length" + suffix, values);
  };
  if (c_.layer_head_dims.empty()) return add("", c_.head_dim, c_.value_dim);
  for (bool full : {true, false}) {
    uint32_t layer = 0;
    while (layer + 1 < c_.layers && c_.attends_to_all(layer) != full) ++layer;
    add(full ? "" : "_swa", c_.head_dim_of(layer), c_.value_dim_of(layer));
  }
  uint32_t shared = 0;
  for (uint32_t layer = 0; layer < c_.layers; ++layer) shared += c_.kv_layer_of(layer) != layer;
  count("attention.shared_kv_layers", shared);
}

// Where layers differ in kind there is a number for each, 0 without attention.
void MetadataWriter::add_kv_heads() {
  if (c_.mixers.empty()) {
    return count_by_layer("attention.head_count_kv", c_.kv_heads, c_.layer_kv_heads);
  }
  std::vector<int32_t> heads;
  for (MixerKind kind : c_.mixers) {
    heads.push_back(attends(kind) ? static_cast<int32_t>(c_.kv_heads) : 0);
  }
  file_.array<int32_t>(full("attention.head_count_kv"), heads);
}

void MetadataWriter::add_rope() {
  if (c_.kimi.heads > 0) count("rope.dimension_count", c_.latent.shared_dimensions);
  if (c_.rope.dimensions == 0) {
    file_.value<bool>(full("rope.scaling.finetuned"), false);
    return;
  }
  // Step 3.5 turns half of what its files say, but in window layers.
  count("rope.dimension_count", is("step35") ? c_.window_rope.dimensions : c_.rope.dimensions);
  const bool compresses = c_.compressed.query_rank > 0;
  number("rope.freq_base", compresses ? c_.window_rope.base : c_.rope.base);
  if (compresses) {
    number("attention.compress_rope_freq_base", c_.rope.base);
  } else if (c_.window_rope.dimensions > 0) {
    number("rope.freq_base_swa", c_.window_rope.base);
    count("rope.dimension_count_swa", c_.window_rope.dimensions);
  }
  if (is_one_of({"qwen35moe", "qwen3vlmoe"})) {
    // Time, height and width of what is seen; for text all three are the same position.
    int32_t pairs = static_cast<int32_t>(c_.rope.dimensions / 2);
    int32_t third = pairs / 3;
    file_.array<int32_t>(full("rope.dimension_sections"), {pairs - 2 * third, third, third, 0});
  }
  if (c_.rope.scaling != RopeScaling::kYarn) return;
  file_.text(full("rope.scaling.type"), "yarn");
  number("rope.scaling.factor", c_.rope.factor);
  count("rope.scaling.original_context_length", static_cast<uint32_t>(c_.rope.original_context));
  number("rope.scaling.yarn_beta_fast", c_.rope.beta_fast);
  number("rope.scaling.yarn_beta_slow", c_.rope.beta_slow);
}

void MetadataWriter::add_experts() {
  const RouterConfig& router = c_.router;
  if (router.experts == 0) return;
  count("expert_count", router.experts);
  count("expert_used_count", router.top_k);
  count("expert_feed_forward_length", c_.expert_width);
  if (c_.latent_width > 0) count("moe_latent_size", c_.latent_width);
  if (c_.shared_width > 0) count("expert_shared_feed_forward_length", c_.shared_width);
  add_limits("swiglu_clamp_exp", c_.expert_limits);
  add_limits("swiglu_clamp_shexp", c_.ffn_limits);
  if (c_.expert_layer_step > 1 || is_one_of({"llama4", "ernie4_5-moe"}))
    count("interleave_moe_layer_step", c_.expert_layer_step);
  // Of these the tensors say it.
  if (c_.leading_dense_layers > 0 && !is_one_of({"hy_v3", "mimo2", "llama4"})) {
    count("leading_dense_block_count", c_.leading_dense_layers);
  }
  if (!has_router_keys()) return;
  if (c_.shared_width > 0) count("expert_shared_count", c_.shared_width / c_.expert_width);
  const bool is_root = router.gating == Gating::kSqrtSoftplus;
  count("expert_gating_func", is_root ? 4 : router.gating == Gating::kSigmoid ? 2 : 1);
  file_.value<bool>(full("expert_weights_norm"), router.normalize_weights);
  number("expert_weights_scale", router.weight_scale);
  if (router.groups == 1) return;
  count("expert_group_count", router.groups);
  count("expert_group_used_count", router.groups_used);
}

void MetadataWriter::add_limits(const std::string& key, const std::vector<float>& limits) {
  if (!limits.empty()) file_.array<float>(full(key), limits);
}

void MetadataWriter::add_recurrent_layers() {
  if (c_.short_convolution > 0) count("shortconv.l_cache", c_.short_convolution);
  if (const MambaConfig& mamba = c_.mamba; mamba.heads > 0) {
    count("ssm.conv_kernel", mamba.convolution);
    count("ssm.state_size", mamba.state);
    count("ssm.group_count", mamba.groups);
    count("ssm.time_step_rank", mamba.heads);
    count("ssm.inner_size", mamba.inner());
  }
  if (c_.kimi.heads > 0) {
    count("ssm.conv_kernel", c_.kimi.convolution);
    count("kda.head_dim", c_.kimi.head_dim);
  }
  const DeltaNetConfig& delta = c_.delta;
  if (delta.key_heads == 0) return;
  count("ssm.conv_kernel", delta.convolution);
  count("ssm.state_size", delta.key_dim);
  count("ssm.group_count", delta.key_heads);
  count("ssm.time_step_rank", delta.value_heads);
  count("ssm.inner_size", delta.value_columns());
  count("full_attention_interval", c_.full_attention_interval);
}

void MetadataWriter::add_indexer() {
  const IndexerConfig& indexer = c_.indexer;
  if (indexer.kind == IndexerKind::kNone) return;
  count("attention.indexer.head_count", indexer.heads);
  count("attention.indexer.key_length", indexer.dimensions);
  count("attention.indexer.top_k", indexer.top_k);
  if (indexer.kind == IndexerKind::kBlocks) {
    count("attention.indexer.block_size", indexer.block);
    count("attention.indexer.local_blocks", indexer.local_blocks);
  } else if (!indexer.layers.empty() && indexer.kind == IndexerKind::kPositions) {
    file_.array<bool>(full("attention.indexer.types"),
                      std::vector<bool>(indexer.layers.begin(), indexer.layers.end()));
  }
}

void MetadataWriter::add_compressed_attention() {
  const CompressedConfig& compressed = c_.compressed;
  if (compressed.query_rank == 0) return;
  count("attention.q_lora_rank", compressed.query_rank);
  count("attention.output_group_count", compressed.output_groups);
  count("attention.output_lora_rank", compressed.output_rank);
  file_.array<int32_t>(full("attention.compress_ratios"),
                       std::vector<int32_t>(compressed.ratios.begin(), compressed.ratios.end()));
  count("hyper_connection.count", c_.hyper.streams);
  count("hyper_connection.sinkhorn_iterations", c_.hyper.iterations);
  number("hyper_connection.epsilon", c_.hyper.epsilon);
  count("hash_layer_count", c_.router.hash_layers);
}

void MetadataWriter::add_scales() {
  if (c_.logit_cap > 0) number("final_logit_softcapping", c_.logit_cap);
  // Of Gemma 4, llama.cpp wants to be told where there are none.
  if (is("gemma4")) count("embedding_length_per_layer_input", c_.per_layer_width);
  if (is("cohere2moe")) number("logit_scale", 1.0 / c_.logit_divisor);
  if (!is("granitemoe") && !is("granitehybrid")) return;
  number("attention.scale", c_.attention_scale);
  number("embedding_scale", c_.embedding_scale);
  number("residual_scale", c_.residual_scale);
  number("logit_scale", c_.logit_divisor);
}

void add_vocabulary(uint32_t size, GgufBuilder* file) {
  MadeVocabulary made = make_vocabulary(size);
  file->text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "qwen2");
  file->array("tokenizer.ggml.tokens", made.tokens);
  file->array("tokenizer.ggml.token_type", made.types);
  file->array("tokenizer.ggml.merges", made.merges);
  file->value<uint32_t>("tokenizer.ggml.eos_token_id", made.end_of_turn);
  file->value<uint32_t>("tokenizer.ggml.padding_token_id", made.end_of_text);
  file->value<bool>("tokenizer.ggml.add_bos_token", false);
}

}  // namespace

void add_metadata(const ModelShape& shape, uint32_t file_type, GgufBuilder* file) {
  file->text("general.architecture", shape.config.architecture);
  file->text("general.type", "model").text("general.name", shape.config.name);
  file->value<uint32_t>("general.file_type", file_type);
  file->value<uint32_t>("general.quantization_version", 2);
  MetadataWriter writer(shape.config, file);
  writer.add_sizes();
  writer.add_attention();
  writer.add_rope();
  writer.add_experts();
  writer.add_recurrent_layers();
  writer.add_indexer();
  writer.add_compressed_attention();
  writer.add_scales();
  add_vocabulary(shape.config.vocabulary, file);
}

}  // namespace potluck::test
