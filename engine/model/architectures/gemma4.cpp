// Gemma 4: layers with a window have smaller heads and a rope of their own; values are normed, and
// full layers may make them of the products for keys. Experts stand beside a dense part, with norms
// of their own. Small models have neither experts nor, in the last layers, keys and values, but
// read a part of every token for themselves in each layer.
#include <cmath>
#include <string>

#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

void read_attention(ConfigReader& reader, ModelConfig* config) {
  config->attention_scale = 1;  // queries and keys are normed
  config->head_norm = HeadNorm::kPerHead;
  config->value_norm = true;
  reader.read_windows(1, config);
  reader.read_window_heads(config);
  reader.read_window_rope(config);
  reader.read_shared_kv_layers(config);
  for (uint32_t layer = 0; layer < config->layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer);
    bool keys_alone =
        reader.has_tensor(block + ".attn_k.weight") && !reader.has_tensor(block + ".attn_v.weight");
    config->key_values.push_back(keys_alone ? 1 : 0);
  }
}

void read_experts(ConfigReader& reader, ModelConfig* config) {
  if (reader.count_or_zero("expert_count", limits::kExperts) == 0) return;
  reader.read_experts(config);
  reader.read_router(&config->router);
  config->router.input = RouterInput::kScaledNorm;
  config->expert_scales = true;
  config->expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  config->expert_activation = ExpertActivation::kGeGlu;
  config->dense_beside_experts = true;
}

}  // namespace

Result<ModelConfig> read_gemma4_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.hidden)));
  read_attention(reader, &config);
  config.post_norms = true;
  reader.read_dense_widths(&config);
  config.ffn_activation = ExpertActivation::kGeGlu;
  read_experts(reader, &config);
  config.per_layer_width =
      reader.count_or_zero("embedding_length_per_layer_input", limits::kHidden);
  config.layer_scales = reader.has_tensor("blk.0.layer_output_scale.weight");
  return reader.finish(config);
}

}  // namespace potluck
