// QuantizationMix: which block format each matrix of a file gets under the name that people know
// the file by: "Q4_K_M", or a single format such as "Q8_0". As llama.cpp's quantizer chooses
// (llama-quant.cpp of August 2026), with its substitutes for rows that are no whole blocks.
// Immutable; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/kernels/block_format.h"

namespace potluck {

class QuantizationMix {
 public:
  // Case does not count. Nothing: not known.
  static std::optional<QuantizationMix> find(std::string_view name);
  // "Q4_K_M, ... and every block format", for messages.
  static std::string known_names();

  struct Matrix {
    std::string_view name;  // of the tensor
    uint64_t columns = 0;
    uint32_t layer = 0;
    uint32_t layers = 0;
    uint32_t experts = 0;    // of the model
    bool is_expert = false;  // a bank of routed experts
  };
  TensorType format_of(const Matrix& matrix) const;

  std::string_view name() const { return name_; }

 private:
  enum class Kind : uint8_t { kOne, kFourMedium, kFiveMedium, kMxfp4Experts };

  TensorType wanted(const Matrix& matrix) const;

  std::string_view name_;
  Kind kind_ = Kind::kOne;
  TensorType base_ = TensorType::kF16;
};

}  // namespace potluck
