// A tile: the product of one or more neighboring panels with a few tokens. One file per family of
// formats implements them; matmul.cpp chooses and calls them. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include "engine/kernels/matmul_rows.h"

namespace potluck::avx2 {

inline constexpr uint32_t kTileTokens = 8;

// Writes y[t * y_stride + r] for the rows r of the panel, which are `rows`.
struct TileOutput {
  float* y;
  uint64_t y_stride;
  uint32_t rows;
};

// One panel of a quantized matrix times [1, kTileTokens] tokens.
using QuantizedTile = void (*)(const PanelShape& shape, const std::byte* panel, const TokenRow* x,
                               uint32_t tokens, const TileOutput& out);

// The tile for a quantized format, made for one token or for several.
QuantizedTile block32_tile(TensorType type, bool one_token);
QuantizedTile q4_k_tile(ActivationForm form, bool one_token);
QuantizedTile q6_k_tile(ActivationForm form, bool one_token);

// All of a product with float weights.
void float_matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows,
                  uint32_t tokens, uint32_t panel_begin, uint32_t panel_end, float* y,
                  uint64_t y_stride);

}  // namespace potluck::avx2
