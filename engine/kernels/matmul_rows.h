// What every matmul kernel does around its inner loop: check its arguments, and find the
// activations of a token. Functions in headers are `static` here and in tiles.h: one compiled for a
// newer processor must not be the copy that the linker keeps for the whole program. Internal to
// engine/kernels; plain values, any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/kernels/activations.h"
#include "engine/kernels/panel.h"

namespace potluck {

// One token's activations; which pointers are set depends on the form.
struct TokenRow {
  const float* values;
  const int8_t* quants;
  const float* scales;
  const int16_t* sums;
};

// The tokens of a product: rows of the activations, all or those of a list.
class TokenRows {
 public:
  TokenRows(const ActivationView& x, const uint32_t* rows)
      : form_(x.form),
        first_{x.values, x.quants, x.scales, x.sums},
        rows_(rows),
        columns_(x.padded_columns()),
        scales_(x.scales_per_token()) {}

  [[gnu::always_inline]] TokenRow operator[](uint32_t token) const {
    uint64_t row = rows_ != nullptr ? rows_[token] : token;
    if (form_ == ActivationForm::kF32) {
      return {first_.values + row * columns_, nullptr, nullptr, nullptr};
    }
    return {nullptr, first_.quants + row * columns_, first_.scales + row * scales_,
            first_.sums + row * (columns_ / 16)};
  }

 private:
  ActivationForm form_;
  TokenRow first_;
  const uint32_t* rows_;
  uint64_t columns_;
  uint64_t scales_;
};

// Rows of the matrix that the panel holds: 8, fewer in the last one.
static inline uint32_t rows_in_panel(const PanelShape& shape, uint32_t panel) {
  return std::min(kPanelRows, shape.rows - panel * kPanelRows);
}

// Ends the process unless the product is one that kernels.h defines.
void check_matmul(const PanelMatrix& w, const ActivationView& x, uint32_t panel_begin,
                  uint32_t panel_end);

}  // namespace potluck
