#include "engine/model/config.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

constexpr std::array kArchitectures = {
    Architecture{"qwen3", read_qwen3_config},
    Architecture{"qwen3moe", read_qwen3moe_config},
};

// Numbers of the attention kernels' lanes: they work on whole groups of 8.
constexpr uint32_t kLanes = 8;

std::string known_architectures() {
  std::string names;
  for (const Architecture& architecture : architectures()) {
    if (!names.empty()) names += ", ";
    names += architecture.name;
  }
  return names;
}

struct Range {
  std::string_view what;
  uint32_t value;
  uint32_t low;
  uint32_t high;
};

Status check_ranges(const ModelConfig& config) {
  bool dense = config.router.experts == 0;
  const Range ranges[] = {
      {"layers", config.layers, 1, limits::kLayers},
      {"hidden size", config.hidden, 1, limits::kHidden},
      {"vocabulary", config.vocabulary, 1, limits::kVocabulary},
      {"trained context", config.trained_context, 1, limits::kContext},
      {"heads", config.heads, 1, limits::kHeads},
      {"KV heads", config.kv_heads, 1, limits::kHeads},
      {"head size", config.head_dim, 1, limits::kHeadDimension},
      {"value size", config.value_dim, 1, limits::kHeadDimension},
      {"experts", config.router.experts, 0, limits::kExperts},
      {"experts used", config.router.top_k, dense ? 0u : 1u, limits::kExpertsUsed},
      {"expert width", config.expert_width, dense ? 0u : 1u, limits::kExpertWidth},
      {"feed-forward width", config.ffn_width, dense ? 1u : 0u, limits::kExpertWidth},
  };
  for (const Range& range : ranges) {
    if (range.value >= range.low && range.value <= range.high) continue;
    return Error{ErrorCode::kLimit, fmt::format("{} must be between {} and {}, but is {}",
                                                range.what, range.low, range.high, range.value)};
  }
  return {};
}

Error unsupported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message)};
}

// The tensor of one part of a layer's experts, or an error that names it.
Result<const GgufTensor*> find_experts(const GgufModel& model, uint32_t layer,
                                       std::string_view part) {
  std::string name = fmt::format("blk.{}.ffn_{}_exps.weight", layer, part);
  const GgufTensor* tensor = model.find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound, fmt::format("tensor {} is missing", name)};
  }
  return tensor;
}

Result<ExpertBank> find_expert_bank(const GgufModel& model, const ModelConfig& config,
                                    uint32_t layer) {
  Result<const GgufTensor*> gate = find_experts(model, layer, "gate");
  if (!gate) return gate.error();
  Result<const GgufTensor*> up = find_experts(model, layer, "up");
  if (!up) return up.error();
  Result<const GgufTensor*> down = find_experts(model, layer, "down");
  if (!down) return down.error();
  ExpertBank bank;
  bank.layer = layer;
  bank.experts = config.router.experts;
  bank.gate = *gate;
  bank.up = *up;
  bank.down = *down;
  bank.shape.hidden = config.hidden;
  bank.shape.width = config.expert_width;
  bank.shape.gate = bank.gate->type;
  bank.shape.up = bank.up->type;
  bank.shape.down = bank.down->type;
  Status checked = check_expert_bank(bank);
  if (!checked) return checked.error();
  return bank;
}

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

Result<ModelConfig> read_config(const GgufModel& model) {
  Result<std::string> name = model.metadata().text("general.architecture");
  if (!name) return name.error().in(model.path());
  for (const Architecture& architecture : architectures()) {
    if (architecture.name != *name) continue;
    Result<ModelConfig> config = architecture.read_config(model);
    if (!config) return config.error().in(model.path());
    return config;
  }
  return unsupported(fmt::format("architecture '{}' is not known; known are {}", printable(*name),
                                 known_architectures()))
      .in(model.path());
}

Status check_config(const ModelConfig& config) {
  Status ranges = check_ranges(config);
  if (!ranges) return ranges;
  if (config.heads % config.kv_heads != 0) {
    return unsupported(
        fmt::format("{} heads cannot be divided among {} KV heads", config.heads, config.kv_heads));
  }
  if (config.head_dim % kLanes != 0 || config.value_dim % kLanes != 0) {
    return unsupported(fmt::format("head sizes must be multiples of {}, but are {} and {}", kLanes,
                                   config.head_dim, config.value_dim));
  }
  if (config.rope_dimensions % 2 != 0 || config.rope_dimensions > config.head_dim) {
    return unsupported(fmt::format("rope must turn an even number of at most {} values, but is {}",
                                   config.head_dim, config.rope_dimensions));
  }
  if (config.router.top_k > config.router.experts) {
    return unsupported(fmt::format("{} experts are to be used for each token, but there are {}",
                                   config.router.top_k, config.router.experts));
  }
  if (!(config.norm_epsilon > 0) || !std::isfinite(config.norm_epsilon)) {
    return unsupported(
        fmt::format("the norm's epsilon must be above 0, but is {}", config.norm_epsilon));
  }
  if (!(config.rope_base >= 1) || !std::isfinite(config.rope_base)) {
    return unsupported(fmt::format("rope's base must be 1 or more, but is {}", config.rope_base));
  }
  return {};
}

Result<std::vector<ExpertBank>> find_expert_banks(const GgufModel& model,
                                                  const ModelConfig& config) {
  std::vector<ExpertBank> banks;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    Result<ExpertBank> bank = find_expert_bank(model, config, layer);
    if (!bank) return bank.error().in(model.path());
    banks.push_back(*bank);
  }
  return banks;
}

}  // namespace potluck
