// Where the routed experts of every layer stand in the file.
#include <fmt/format.h>

#include "engine/gguf/joined_experts.h"
#include "engine/model/config.h"

namespace potluck {
namespace {

// Where every expert has a tensor of its own, there must be exactly one for each.
Status check_pieces(const GgufTensor& tensor, uint32_t layer, std::string_view part,
                    uint32_t experts) {
  const size_t found = tensor.pieces.size();
  if (found == 0 || found == experts) return {};
  if (found < experts) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("tensor {} is missing",
                             expert_tensor_name(layer, part, static_cast<uint32_t>(found)))};
  }
  return Error{ErrorCode::kUnsupported,
               fmt::format("tensor {} is one too many: the model has {} experts",
                           expert_tensor_name(layer, part, experts), experts)};
}

// The tensor of one part of a layer's experts, or an error that names it.
Result<const GgufTensor*> find_experts(const GgufModel& model, uint32_t layer,
                                       std::string_view part, std::string_view suffix) {
  std::string name = fmt::format("blk.{}.ffn_{}_exps.{}", layer, part, suffix);
  const GgufTensor* tensor = model.find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound, fmt::format("tensor {} is missing", name)};
  }
  return tensor;
}

struct BankPart {
  std::string_view name;
  const GgufTensor* ExpertBank::*matrix;
  const GgufTensor* ExpertBank::*bias;
  const GgufTensor* ExpertBank::*scale;
};

constexpr BankPart kParts[] = {
    {"gate", &ExpertBank::gate, &ExpertBank::gate_bias, &ExpertBank::gate_scale},
    {"up", &ExpertBank::up, &ExpertBank::up_bias, &ExpertBank::up_scale},
    {"down", &ExpertBank::down, &ExpertBank::down_bias, &ExpertBank::down_scale},
};

Result<ExpertBank> find_expert_bank(const GgufModel& model, const ModelConfig& config,
                                    uint32_t layer) {
  ExpertBank bank;
  for (const BankPart& part : kParts) {
    if (part.matrix == &ExpertBank::gate && !has_gate(config.expert_activation)) continue;
    Result<const GgufTensor*> matrix = find_experts(model, layer, part.name, "weight");
    if (!matrix) return matrix.error();
    Status whole = check_pieces(**matrix, layer, part.name, config.router.experts);
    if (!whole) return whole.error();
    bank.*part.matrix = *matrix;
    Result<const GgufTensor*> scale = find_experts(model, layer, part.name, "scale");
    const bool must = config.expert_scales && part.matrix == &ExpertBank::down;
    if (!scale && must) return scale.error();
    if (scale) bank.*part.scale = *scale;
    bank.shape.scales |= scale.ok();
    if (!config.expert_biases) continue;
    Result<const GgufTensor*> bias = find_experts(model, layer, part.name, "bias");
    if (!bias) return bias.error();
    bank.*part.bias = *bias;
  }
  bank.layer = layer;
  bank.experts = config.router.experts;
  bank.shape.hidden = config.expert_columns();
  bank.shape.width = config.expert_width;
  bank.shape.gate = bank.gate != nullptr ? bank.gate->type : bank.up->type;
  bank.shape.up = bank.up->type;
  bank.shape.down = bank.down->type;
  bank.shape.biases = config.expert_biases;
  const Activation activation = config.expert_activation_of(layer);
  bank.shape.activation = activation.kind;
  bank.shape.limit = activation.limit;
  // The formats were taken from the tensors; whether the sizes agree with the configuration is
  // checked here.
  Status checked = check_expert_bank(bank);
  if (!checked) return checked.error();
  return bank;
}

}  // namespace

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
