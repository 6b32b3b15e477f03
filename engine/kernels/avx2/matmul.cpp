// y = W x: chooses the tile for the format and walks over panels and tokens.
#include "engine/base/check.h"
#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

QuantizedTile quantized_tile(TensorType type, ActivationForm form, bool one_token) {
  if (type == TensorType::kQ4_K) return q4_k_tile(form, one_token);
  if (type == TensorType::kQ6_K) return q6_k_tile(form, one_token);
  return block32_tile(type, one_token);
}

}  // namespace

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride) {
  check_matmul(w, x, panel_begin, panel_end);
  if (x.form == ActivationForm::kF32) {
    float_matmul(w, x, rows, tokens, panel_begin, panel_end, y, y_stride);
    return;
  }
  QuantizedTile one = quantized_tile(w.shape.type, x.form, true);
  QuantizedTile several = quantized_tile(w.shape.type, x.form, false);
  uint64_t panel_bytes = w.shape.panel_bytes();
  for (uint32_t panel = panel_begin; panel < panel_end; ++panel) {
    const std::byte* data = w.data + panel * panel_bytes;
    for (uint32_t first = 0; first < tokens; first += kTileTokens) {
      uint32_t count = tokens - first < kTileTokens ? tokens - first : kTileTokens;
      TokenRow x_rows[kTileTokens];
      for (uint32_t t = 0; t < count; ++t) x_rows[t] = token_row(x, rows, first + t);
      TileOutput out{y + first * y_stride + uint64_t{panel} * kPanelRows, y_stride,
                     rows_in_panel(w.shape, panel)};
      (count == 1 ? one : several)(w.shape, data, x_rows, count, out);
    }
  }
}

}  // namespace potluck::avx2
