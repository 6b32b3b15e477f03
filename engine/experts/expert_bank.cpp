// Grains are cut by the shape that the manifest names, so what the tensors really hold is compared
// with that shape before the first is cut.
#include "engine/experts/expert_bank.h"

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

Error missing(const ExpertBank& bank, const char* what) {
  return {ErrorCode::kNotFound, fmt::format("layer {}: no tensor for {}", bank.layer, what)};
}

Status check_dimensions(const GgufTensor& tensor, const std::array<uint64_t, 4>& expected) {
  if (tensor.dimensions == expected) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("tensor {}: expected {} x {} x {}, found {}", tensor.name, expected[0],
                           expected[1], expected[2], tensor.shape_text())};
}

Status check_matrix(const ExpertBank& bank, const char* what, const GgufTensor* tensor,
                    TensorType type, uint32_t columns, uint32_t rows) {
  if (tensor == nullptr) return missing(bank, what);
  if (tensor->type != type) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("tensor {}: expected format {}, found {}", tensor->name,
                             block_format(type).name, block_format(tensor->type).name)};
  }
  return check_dimensions(*tensor, {columns, rows, bank.experts, 1});
}

Status check_bias(const ExpertBank& bank, const char* what, const GgufTensor* tensor,
                  uint32_t columns) {
  // A bias that is there and not used would change the model in silence.
  if (!bank.shape.biases) {
    if (tensor == nullptr) return {};
    return Error{ErrorCode::kUnsupported,
                 fmt::format("tensor {}: gate, up and down biases come together or not at all",
                             tensor->name)};
  }
  if (tensor == nullptr) return missing(bank, what);
  if (block_format(tensor->type).quantized()) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("tensor {}: a bias in format {}, expected a float format",
                             tensor->name, block_format(tensor->type).name)};
  }
  return check_dimensions(*tensor, {columns, bank.experts, 1, 1});
}

Status check_scale(const ExpertBank& bank, const GgufTensor* tensor) {
  if (tensor == nullptr) return {};
  if (!bank.shape.scales || block_format(tensor->type).quantized()) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("tensor {}: a scale in format {}, expected a float format for experts "
                             "with scales",
                             tensor->name, block_format(tensor->type).name)};
  }
  return check_dimensions(*tensor, {bank.experts, 1, 1, 1});
}

}  // namespace

std::vector<const GgufTensor*> ExpertBank::tensors() const {
  std::vector<const GgufTensor*> all;
  for (const GgufTensor* tensor :
       {gate, up, down, gate_bias, up_bias, down_bias, gate_scale, up_scale, down_scale}) {
    if (tensor != nullptr) all.push_back(tensor);
  }
  return all;
}

Status check_expert_bank(const ExpertBank& bank) {
  const ExpertShape& shape = bank.shape;
  if (bank.layer >= limits::kLayers || bank.experts == 0 || bank.experts > limits::kExperts) {
    return Error{ErrorCode::kLimit,
                 fmt::format("layer {} with {} experts: expected a layer below {}, 1 to {} experts",
                             bank.layer, bank.experts, limits::kLayers, limits::kExperts)};
  }
  for (const GgufTensor* tensor : bank.tensors()) {
    if (Status weights = expect_weights(*tensor); !weights) return weights;
  }
  if (Status valid = check_expert_shape(shape); !valid) {
    return valid.error().in(fmt::format("layer {}", bank.layer));
  }
  Status all[] = {
      shape.gated()
          ? check_matrix(bank, "expert gates", bank.gate, shape.gate, shape.hidden, shape.width)
          : Status(),
      check_matrix(bank, "expert ups", bank.up, shape.up, shape.hidden, shape.width),
      check_matrix(bank, "expert downs", bank.down, shape.down, shape.width, shape.hidden),
      check_bias(bank, "expert gate biases", bank.gate_bias, shape.width),
      check_bias(bank, "expert up biases", bank.up_bias, shape.width),
      check_bias(bank, "expert down biases", bank.down_bias, shape.hidden),
      check_scale(bank, bank.gate_scale),
      check_scale(bank, bank.up_scale),
      check_scale(bank, bank.down_scale),
  };
  for (const Status& status : all) {
    if (!status) return status;
  }
  return {};
}

}  // namespace potluck
