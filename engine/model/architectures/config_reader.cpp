// Reads like a list of keys: the first error is kept and 0 returned after it. finish() reports it,
// or checks the whole.
#include "engine/model/architectures/config_reader.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/printable.h"
#include "engine/kernels/exact_math.h"

namespace potluck {
namespace {

// What a model is called in lists and manifests when its file does not say.
std::string name_from_path(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// By how much YaRN makes scores larger for a context `factor` times as long: sqrt(1/t) of the paper
// (Peng et al., 2023).
double yarn_magnitude(double factor) {
  return factor <= 1 ? 1.0 : 0.1 * exact_log64(factor) + 1.0;
}

}  // namespace

ConfigReader::ConfigReader(const GgufModel& model)
    : model_(model), architecture_(model.metadata().text("general.architecture").value()) {}

std::string ConfigReader::full_key(std::string_view key) const {
  return fmt::format("{}.{}", architecture_, key);
}

bool ConfigReader::has(std::string_view key) const {
  return model_.metadata().contains(full_key(key));
}

bool ConfigReader::has_recurrent_layers() const {
  return has("ssm.conv_kernel") || has("shortconv.l_cache");
}

void ConfigReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

bool ConfigReader::is_array(std::string_view key) const {
  const MetadataValue* value = model_.metadata().find(full_key(key));
  return value != nullptr && std::holds_alternative<MetadataArray>(*value);
}

template <class T>
Result<T> ConfigReader::same_for_layers(std::string_view key, const Result<std::vector<T>>& values,
                                        uint32_t layers) const {
  if (!values) return values.error();
  const size_t count = layers == 0 ? values->size() : layers;
  if (values->empty() || values->size() < count) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: expected a number or one for each layer, found an array of {}",
                             full_key(key), values->size())};
  }
  for (size_t layer = 1; layer < count; ++layer) {
    if ((*values)[layer] == values->front()) continue;
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} is {} for layer 0, but {} for layer {}: layers that differ in it "
                             "are not supported",
                             full_key(key), values->front(), (*values)[layer], layer)};
  }
  return values->front();
}

Result<uint64_t> ConfigReader::integer(std::string_view key, uint32_t layers) const {
  if (!is_array(key)) return model_.metadata().integer(full_key(key));
  auto values = model_.metadata().integers(full_key(key));
  // In models with recurrent layers, an array has 0 for the layers without attention.
  if (values && key.starts_with("attention.") && has_recurrent_layers()) std::erase(*values, 0);
  auto same = same_for_layers<int64_t>(key, values, layers);
  if (!same) return same.error();
  if (*same >= 0) return static_cast<uint64_t>(*same);
  return Error{
      ErrorCode::kCorrupt,
      fmt::format("{}: expected an integer that is not negative, found {}", full_key(key), *same)};
}

uint32_t ConfigReader::checked(std::string_view key, Result<uint64_t> value, uint32_t low,
                               uint32_t limit) {
  if (!value) {
    fail(value.error());
    return 0;
  }
  if (*value < low || *value > limit) {
    fail({ErrorCode::kLimit, fmt::format("{} must be between {} and {}, but is {}", full_key(key),
                                         low, limit, *value)});
    return 0;
  }
  return static_cast<uint32_t>(*value);
}

uint32_t ConfigReader::count_from(uint32_t low, std::string_view key, uint32_t limit) {
  return checked(key, integer(key, 0), low, limit);
}

uint32_t ConfigReader::count_of_first(std::string_view key, uint32_t limit, uint32_t layers) {
  return checked(key, integer(key, layers), 1, limit);
}

uint32_t ConfigReader::count(std::string_view key, uint32_t limit) {
  return count_from(1, key, limit);
}

uint32_t ConfigReader::layer_period(std::string_view key, uint32_t otherwise) {
  return std::max(1u, count_or(key, limits::kLayers, otherwise));
}

uint32_t ConfigReader::count_or(std::string_view key, uint32_t limit, uint32_t otherwise) {
  return has(key) ? count(key, limit) : otherwise;
}

uint32_t ConfigReader::count_or_zero(std::string_view key, uint32_t limit) {
  return has(key) ? count_from(0, key, limit) : 0;
}

uint32_t ConfigReader::count_by_layer(std::string_view key, uint32_t limit, uint32_t layers,
                                      std::vector<uint32_t>* per_layer) {
  // With recurrent layers an array has numbers that no layer uses; integer() knows them.
  if (!is_array(key) || has_recurrent_layers()) return count(key, limit);
  auto values = model_.metadata().integers(full_key(key));
  if (!values || values->size() < layers || layers == 0) return count(key, limit);
  values->resize(layers);
  if (std::ranges::count(*values, values->front()) == layers) {
    return count_of_first(key, limit, layers);
  }
  for (int64_t value : *values) {
    // What is negative is above every limit.
    per_layer->push_back(checked(key, static_cast<uint64_t>(value), 1, limit));
  }
  return *std::ranges::max_element(*per_layer);
}

std::vector<uint32_t> ConfigReader::counts_of_layers(std::string_view key, uint32_t limit,
                                                     uint32_t layers) {
  if (!is_array(key)) return std::vector<uint32_t>(layers, count_from(0, key, limit));
  std::vector<uint32_t> counts(layers);
  auto values = model_.metadata().integers(full_key(key));
  if (!values) {
    fail(values.error());
    return counts;
  }
  if (values->size() < layers) {
    fail({ErrorCode::kCorrupt, fmt::format("{}: expected a number for each of {} layers, found {}",
                                           full_key(key), layers, values->size())});
    return counts;
  }
  for (uint32_t layer = 0; layer < layers; ++layer) {
    // A negative one is above every limit.
    counts[layer] = checked(key, static_cast<uint64_t>((*values)[layer]), 0, limit);
  }
  return counts;
}

std::vector<float> ConfigReader::limits_of_layers(std::string_view key, uint32_t layers) {
  if (!has(key)) return {};
  if (!is_array(key)) return std::vector<float>(layers, static_cast<float>(number(key)));
  auto values = model_.metadata().numbers(full_key(key));
  if (!values) {
    fail(values.error());
    return {};
  }
  if (values->size() < layers) {
    fail({ErrorCode::kCorrupt, fmt::format("{}: expected a number for each of {} layers, found {}",
                                           full_key(key), layers, values->size())});
    return {};
  }
  std::vector<float> limits(values->begin(), values->begin() + layers);
  if (std::ranges::count(limits, 0.0F) == layers) limits.clear();
  return limits;
}

std::vector<uint8_t> ConfigReader::switches(std::string_view key, uint32_t layers) {
  if (!has(key)) return {};
  auto values = model_.metadata().integers(full_key(key));
  if (!values) {
    fail(values.error());
    return {};
  }
  if (values->size() < layers) {
    fail({ErrorCode::kCorrupt, fmt::format("{}: expected one value for each of {} layers, found {}",
                                           full_key(key), layers, values->size())});
    return {};
  }
  std::vector<uint8_t> on;
  for (uint32_t layer = 0; layer < layers; ++layer) on.push_back((*values)[layer] != 0 ? 1 : 0);
  return on;
}

double ConfigReader::number(std::string_view key) {
  Result<double> value =
      is_array(key) ? same_for_layers<double>(key, model_.metadata().numbers(full_key(key)), 0)
                    : model_.metadata().number(full_key(key));
  if (!value) {
    fail(value.error());
    return 0;
  }
  return *value;
}

double ConfigReader::number_or(std::string_view key, double otherwise) {
  return has(key) ? number(key) : otherwise;
}

bool ConfigReader::boolean_or(std::string_view key, bool otherwise) {
  if (!has(key)) return otherwise;
  Result<bool> value = model_.metadata().boolean(full_key(key));
  if (!value) fail(value.error());
  return value ? *value : otherwise;
}

// The rows of the token embedding: files do not always have a vocabulary of their own.
uint32_t ConfigReader::read_vocabulary() {
  const GgufTensor* embedding = model_.find("token_embd.weight");
  if (embedding == nullptr) {
    fail({ErrorCode::kNotFound, "tensor token_embd.weight is missing"});
    return 0;
  }
  if (embedding->rows() > limits::kVocabulary) {
    fail({ErrorCode::kLimit, fmt::format("token_embd.weight has {} rows, more than {}",
                                         embedding->rows(), limits::kVocabulary)});
    return 0;
  }
  return static_cast<uint32_t>(embedding->rows());
}

// A kind of scaling that is not known is refused: to ignore it would change the model. Old files
// give a factor without a kind, which is linear then, or under an older key.
void ConfigReader::read_rope_scaling(uint32_t trained_context, RopeConfig* rope) {
  constexpr const char* kKindKey = "rope.scaling.type";
  // Files of Phi do not name the kind, but have the lists.
  const Result<std::string> named = model_.metadata().text(full_key(kKindKey));
  const bool is_long =
      has(kKindKey) ? named.ok() && *named == "longrope" : has_tensor("rope_factors_long.weight");
  if (is_long) {
    rope->scaling = RopeScaling::kLongRope;
    rope->original_context = count("rope.scaling.original_context_length", limits::kContext);
    rope->magnitude = number_or("rope.scaling.attn_factor", 1.0);
    return;
  }
  const bool is_old = !has("rope.scaling.factor") && has("rope.scale_linear");
  const char* factor_key = is_old ? "rope.scale_linear" : "rope.scaling.factor";
  if (!has(kKindKey) && !has(factor_key)) return;
  Result<std::string> kind = has(kKindKey) ? model_.metadata().text(full_key(kKindKey))
                                           : Result<std::string>(std::string("linear"));
  if (!kind) return fail(kind.error());
  if (*kind == "none") return;
  if (*kind != "linear" && *kind != "yarn") {
    return fail({ErrorCode::kUnsupported, fmt::format("{} is '{}'; supported are 'none', 'linear', "
                                                      "'yarn' and 'longrope'",
                                                      full_key(kKindKey), printable(*kind))});
  }
  const double factor = number(factor_key);
  // Some files say 0 where nothing is to be scaled.
  if (*kind == "linear" && factor == 0) return;
  rope->factor = factor;
  rope->scaling = RopeScaling::kLinear;
  if (*kind == "linear") return;
  rope->scaling = RopeScaling::kYarn;
  rope->original_context =
      count_or("rope.scaling.original_context_length", limits::kContext, trained_context);
  rope->beta_fast = number_or("rope.scaling.yarn_beta_fast", rope->beta_fast);
  rope->beta_slow = number_or("rope.scaling.yarn_beta_slow", rope->beta_slow);
  rope->magnitude = yarn_magnitude(rope->factor) * number_or("rope.scaling.yarn_attn_factor", 1.0);
}

void ConfigReader::refuse(std::string_view key) {
  const double value = number_or(key, 0);
  // Ignoring it would give fluent nonsense.
  if (value == 0) return;
  fail({ErrorCode::kUnsupported,
        fmt::format("{} is {}, which is not supported", full_key(key), value)});
}

void ConfigReader::refuse_unsupported() {
  for (const char* key : {"attention.clamp_kqv", "attention.max_alibi_bias",
                          "attn_logit_softcapping", "router_logit_softcapping"}) {
    refuse(key);
  }
  if (boolean_or("attention.causal", true)) return;
  fail({ErrorCode::kUnsupported, fmt::format("{} is false: the model does not generate text",
                                             full_key("attention.causal"))});
}

void ConfigReader::read_rope(ModelConfig* config) {
  config->rope.dimensions =
      count_or("rope.dimension_count", limits::kHeadDimension, config->head_dim);
  config->rope.base = number_or("rope.freq_base", 10000.0);
  read_rope_scaling(config->trained_context, &config->rope);
}

ModelConfig ConfigReader::read_common(std::string_view epsilon_key) {
  ModelConfig config;
  config.architecture = architecture_;
  config.name = name_from_path(model_.path());
  Result<std::string> name = model_.metadata().text("general.name");
  if (name && !name->empty() && name->size() <= limits::kNameBytes) config.name = *name;
  uint32_t blocks = count("block_count", limits::kLayers);
  config.next_token_layers =
      count_or_zero("nextn_predict_layers", blocks > 0 ? blocks - 1 : limits::kLayers);
  config.layers = blocks - std::min(blocks, config.next_token_layers);
  config.hidden = count("embedding_length", limits::kHidden);
  config.trained_context = count("context_length", limits::kContext);
  config.vocabulary = read_vocabulary();
  config.heads =
      count_by_layer("attention.head_count", limits::kHeads, config.layers, &config.layer_heads);
  config.kv_heads = config.heads;
  if (has("attention.head_count_kv")) {
    config.kv_heads = count_by_layer("attention.head_count_kv", limits::kHeads, config.layers,
                                     &config.layer_kv_heads);
  } else {
    config.layer_kv_heads = config.layer_heads;
  }
  // Files say nothing where heads divide the hidden size evenly, as they did in the first models.
  uint32_t even_split = config.heads == 0 ? 0 : config.hidden / config.heads;
  config.head_dim = count_or("attention.key_length", limits::kHeadDimension, even_split);
  config.value_dim = count_or("attention.value_length", limits::kHeadDimension, even_split);
  config.attention_scale =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  config.norm_epsilon = static_cast<float>(number(epsilon_key));
  config.logit_cap = static_cast<float>(number_or("final_logit_softcapping", 0));
  read_rope(&config);
  refuse_unsupported();
  return config;
}

Result<ModelConfig> ConfigReader::finish(const ModelConfig& config) const {
  if (error_) return *error_;
  Status checked = check_config(config);
  if (!checked) return checked.error();
  return config;
}

}  // namespace potluck
