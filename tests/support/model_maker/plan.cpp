#include "tests/support/model_maker/plan.h"

#include <numeric>

#include <fmt/format.h>

#include "tests/support/model_maker/metadata.h"
#include "tests/support/model_maker/tensor_planner.h"
#include "tests/support/model_maker/vocabulary.h"

namespace potluck::test {
namespace {

constexpr uint64_t kDataAlignment = 32;

// FNV-1a: the random stream of a tensor goes by its name, so that a change of one tensor leaves the
// others as they are.
uint64_t hash_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

// What check_config() does not ask, because a reader sees no such file.
Status check_shape(const ModelShape& shape) {
  const ModelConfig& c = shape.config;
  if (Status checked = check_config(c); !checked) return checked;
  std::string wrong;
  if (c.vocabulary < kSmallestVocabulary) {
    wrong = fmt::format("--vocab: at least {} tokens, found {}", kSmallestVocabulary, c.vocabulary);
  } else if (!(shape.skew >= 0 && shape.skew <= 4)) {
    wrong = fmt::format("--skew: between 0 and 4, found {}", shape.skew);
  } else if (!c.shared_gate && c.shared_width > 0 && c.shared_width % c.expert_width != 0) {
    wrong = fmt::format("--shared-width: a multiple of the experts' {}, found {}", c.expert_width,
                        c.shared_width);
  }
  if (wrong.empty()) return {};
  return Error{ErrorCode::kInvalidArgument, wrong};
}

// With other layers than the preset has, its pattern is repeated.
template <class T>
void repeat_to(uint32_t layers, std::vector<T>* pattern) {
  if (pattern->empty()) return;
  const std::vector<T> once = *pattern;
  pattern->resize(layers);
  for (size_t i = 0; i < pattern->size(); ++i) (*pattern)[i] = once[i % once.size()];
}

// The same for everything that layers have for themselves.
void repeat_patterns(ModelConfig* config) {
  const uint32_t layers = config->layers;
  repeat_to(layers, &config->mixers);
  repeat_to(layers, &config->feed_forwards);
  repeat_to(layers, &config->window_layers);
  repeat_to(layers, &config->layer_ropes);
  repeat_to(layers, &config->key_values);
  repeat_to(layers, &config->indexer.layers);
  repeat_to(layers, &config->compressed.ratios);
  for (auto* numbers : {&config->layer_heads, &config->layer_kv_heads, &config->layer_head_dims,
                        &config->layer_value_dims, &config->layer_ffn_widths}) {
    repeat_to(layers, numbers);
  }
  repeat_to(layers, &config->expert_limits);
  repeat_to(layers, &config->ffn_limits);
  // As many of the last layers share keys and values as in the preset.
  std::vector<uint32_t>& kv_layers = config->kv_layers;
  if (kv_layers.empty()) return;
  uint32_t own = 0;
  while (own < kv_layers.size() && kv_layers[own] == own) ++own;
  const auto shared = static_cast<uint32_t>(kv_layers.size()) - own;
  own = layers - std::min(layers, shared);
  kv_layers.clear();
  for (uint32_t layer = 0; layer < layers; ++layer) {
    uint32_t from = layer;
    while (from >= own && from > 0) --from;
    while (from > 0 && layer >= own &&
           config->attends_to_all(from) != config->attends_to_all(layer)) {
      --from;
    }
    kv_layers.push_back(from);
  }
}

// What follows from the ratios, as the engine reads it.
void complete_entries(ModelConfig* config) {
  config->window_rope.dimensions = config->rope.dimensions;
  config->indexer.layers.clear();
  config->layer_ropes.clear();
  for (uint32_t ratio : config->compressed.ratios) {
    config->indexer.layers.push_back(ratio == 4 ? 1 : 0);
    config->layer_ropes.push_back(ratio == 0 ? LayerRope::kWindow : LayerRope::kMain);
  }
}

// Places the tensors one behind the other.
void make_header(const ModelShape& shape, uint32_t file_type, ModelPlan* plan) {
  GgufBuilder file;
  add_metadata(shape, file_type, &file);
  for (const TensorPlan& tensor : plan->tensors) {
    plan->offsets.push_back(plan->data_bytes);
    file.tensor({tensor.name, tensor.format->type, tensor.dimensions, {}, plan->data_bytes});
    plan->data_bytes = round_up(plan->data_bytes + tensor.bytes(), kDataAlignment);
  }
  plan->header = file.build();
  plan->header.resize(round_up<uint64_t>(plan->header.size(), kDataAlignment));
}

}  // namespace

uint64_t TensorPlan::rows() const {
  return std::accumulate(dimensions.begin() + 1, dimensions.end(), uint64_t{1},
                         std::multiplies<uint64_t>());
}

uint64_t TensorPlan::bytes() const {
  return rows() * format->row_bytes(dimensions[0]);
}

CounterRandom ModelPlan::random(const std::string& tensor) const {
  return CounterRandom(CounterRandom(seed).bits(hash_of(tensor)));
}

Result<ModelPlan> plan_model(const ModelShape& shape) {
  ModelShape complete = shape;
  ModelConfig& config = complete.config;
  if (config.latent.rank > 0) {  // as the engine reads it: one head of compressed vectors
    if (config.kimi.heads == 0) config.latent.shared_dimensions = config.rope.dimensions;
    config.head_dim = config.latent.rank + config.latent.shared_dimensions;
    config.value_dim = config.latent.rank;
  }
  if (config.attention_scale == 0) config.attention_scale = 1;  // follows from the sizes
  repeat_patterns(&config);
  if (config.compressed.query_rank > 0) complete_entries(&config);
  if (Status checked = check_shape(complete); !checked) return checked.error();
  auto mix = FormatMix::parse(shape.format, shape.tensor_formats);
  if (!mix) return mix.error();
  ModelPlan plan;
  plan.seed = shape.seed;
  TensorPlanner planner(complete, *mix, &plan);
  if (Status planned = planner.plan(); !planned) return planned.error();
  make_header(complete, mix->file_type(), &plan);
  return plan;
}

}  // namespace potluck::test
