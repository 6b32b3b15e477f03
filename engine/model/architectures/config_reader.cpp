#include "engine/model/architectures/config_reader.h"

#include <cmath>

#include <fmt/format.h>

#include "engine/base/printable.h"

namespace potluck {
namespace {

// What a model is called in lists and manifests when its file does not say.
std::string name_from_path(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

ConfigReader::ConfigReader(const GgufModel& model)
    : model_(model), architecture_(model.metadata().text("general.architecture").value()) {}

std::string ConfigReader::full_key(std::string_view key) const {
  return fmt::format("{}.{}", architecture_, key);
}

void ConfigReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

uint32_t ConfigReader::count(std::string_view key, uint32_t limit) {
  Result<uint64_t> value = model_.metadata().integer(full_key(key));
  if (!value) {
    fail(value.error());
    return 0;
  }
  if (*value < 1 || *value > limit) {
    fail({ErrorCode::kLimit,
          fmt::format("{} must be between 1 and {}, but is {}", full_key(key), limit, *value)});
    return 0;
  }
  return static_cast<uint32_t>(*value);
}

uint32_t ConfigReader::count_or(std::string_view key, uint32_t limit, uint32_t otherwise) {
  return model_.metadata().contains(full_key(key)) ? count(key, limit) : otherwise;
}

double ConfigReader::number(std::string_view key) {
  Result<double> value = model_.metadata().number(full_key(key));
  if (!value) {
    fail(value.error());
    return 0;
  }
  return *value;
}

double ConfigReader::number_or(std::string_view key, double otherwise) {
  return model_.metadata().contains(full_key(key)) ? number(key) : otherwise;
}

void ConfigReader::refuse_rope_scaling() {
  std::string key = full_key("rope.scaling.type");
  if (!model_.metadata().contains(key)) return;
  Result<std::string> kind = model_.metadata().text(key);
  if (!kind) {
    fail(kind.error());
  } else if (*kind != "none") {
    fail({ErrorCode::kUnsupported, fmt::format("{} is '{}'; only 'none' is supported for {}", key,
                                               printable(*kind), architecture_)});
  }
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

ModelConfig ConfigReader::read_common() {
  ModelConfig config;
  config.architecture = architecture_;
  config.name = name_from_path(model_.path());
  Result<std::string> name = model_.metadata().text("general.name");
  if (name && !name->empty() && name->size() <= limits::kNameBytes) config.name = *name;
  config.layers = count("block_count", limits::kLayers);
  config.hidden = count("embedding_length", limits::kHidden);
  config.trained_context = count("context_length", limits::kContext);
  config.vocabulary = read_vocabulary();
  config.heads = count("attention.head_count", limits::kHeads);
  config.kv_heads = count_or("attention.head_count_kv", limits::kHeads, config.heads);
  uint32_t even_split = config.heads == 0 ? 0 : config.hidden / config.heads;
  config.head_dim = count_or("attention.key_length", limits::kHeadDimension, even_split);
  config.value_dim = count_or("attention.value_length", limits::kHeadDimension, even_split);
  config.attention_scale =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  config.norm_epsilon = static_cast<float>(number("attention.layer_norm_rms_epsilon"));
  config.rope_dimensions =
      count_or("rope.dimension_count", limits::kHeadDimension, config.head_dim);
  config.rope_base = number_or("rope.freq_base", 10000.0);
  refuse_rope_scaling();
  return config;
}

Result<ModelConfig> ConfigReader::finish(const ModelConfig& config) const {
  if (error_) return *error_;
  Status checked = check_config(config);
  if (!checked) return checked.error();
  return config;
}

}  // namespace potluck
