// Activations: the vectors that weights are multiplied with, quantized once where they arise, in
// the form the product reads. A view is a plain value; ActivationBuffer owns its memory and belongs
// to one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/kernels/block_format.h"

namespace potluck {

// `tokens` rows of `columns` values. Quantized rows are padded to a multiple of 32 (kQ8Block32)
// with zeros; kQ8Block256 needs columns that are a multiple of 256. Quants lie in [-127, 127]: a
// vector kernel may misread -128, so code that receives quants from a peer refuses it.
struct ActivationView {
  ActivationForm form = ActivationForm::kF32;
  uint32_t tokens = 0;
  uint32_t columns = 0;
  const float* values = nullptr;   // kF32: [tokens, columns]
  const int8_t* quants = nullptr;  // else: [tokens, padded_columns()]
  const float* scales = nullptr;   // [tokens, padded_columns() / block]
  const int16_t* sums = nullptr;   // [tokens, padded_columns() / 16]: sums of 16 quants

  uint32_t padded_columns() const {
    return form == ActivationForm::kF32 ? columns : round_up(columns, activation_block(form));
  }
  uint32_t scales_per_token() const { return padded_columns() / activation_block(form); }
  ActivationView token_range(uint32_t first, uint32_t count) const;
};

class ActivationBuffer {
 public:
  // Sizes the buffer for `tokens` rows; contents are unspecified. Grows, never shrinks.
  void reset(ActivationForm form, uint32_t tokens, uint32_t columns);

  ActivationView view() const;
  ActivationForm form() const { return form_; }
  uint32_t tokens() const { return tokens_; }
  uint32_t columns() const { return columns_; }

  std::span<float> values() { return values_; }
  std::span<int8_t> quants() { return quants_; }
  std::span<float> scales() { return scales_; }

  // Computes the sums of 16 from the quants (they do not cross the wire).
  void compute_sums();
  std::span<int16_t> sums() { return sums_; }

 private:
  ActivationForm form_ = ActivationForm::kF32;
  uint32_t tokens_ = 0;
  uint32_t columns_ = 0;
  std::vector<float> values_;
  std::vector<int8_t> quants_;
  std::vector<float> scales_;
  std::vector<int16_t> sums_;
};

// Bytes of one token row on the wire: f32 values, or quants (padded) followed by f32 scales.
uint64_t activation_wire_bytes(ActivationForm form, uint32_t columns);

}  // namespace potluck
