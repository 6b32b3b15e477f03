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

static inline TokenRow token_row(const ActivationView& x, const uint32_t* rows, uint32_t token) {
  uint64_t row = rows != nullptr ? rows[token] : token;
  if (x.form == ActivationForm::kF32)
    return {x.values + row * x.columns, nullptr, nullptr, nullptr};
  uint64_t padded = x.padded_columns();
  return {nullptr, x.quants + row * padded, x.scales + row * x.scales_per_token(),
          x.sums + row * (padded / 16)};
}

// Rows of the matrix that the panel holds: 8, fewer in the last one.
static inline uint32_t rows_in_panel(const PanelShape& shape, uint32_t panel) {
  return std::min(kPanelRows, shape.rows - panel * kPanelRows);
}

// Ends the process unless the product is one that kernels.h defines.
void check_matmul(const PanelMatrix& w, const ActivationView& x, uint32_t panel_begin,
                  uint32_t panel_end);

}  // namespace potluck
