// gpt-oss: every other layer looks back over a window only, and scores compete with a learned sink;
// biases everywhere; a softmax over the chosen experts. YaRN blends over the exact range, as the
// published checkpoints ask.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_gpt_oss_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.projection_biases = true;
  config.output_bias = true;
  config.sinks = Sinks::kAllLayers;
  config.full_attention_interval = 2;
  config.sliding_window = reader.count("attention.sliding_window", limits::kContext);
  // llama.cpp widens the range to whole pairs and differs here.
  config.rope.whole_yarn_range = false;
  config.ffn_norm_name = "post_attention_norm";
  reader.read_experts(&config);
  config.router.gating = Gating::kSoftmaxOfChosen;
  // A softmax over the chosen ones sums to 1 by itself.
  config.router.normalize_weights = false;
  config.router.bias = true;
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  config.expert_biases = true;
  config.expert_activation = ExpertActivation::kSwiGluOai;
  return reader.finish(config);
}

}  // namespace potluck
