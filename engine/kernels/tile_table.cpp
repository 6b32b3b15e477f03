#include "engine/kernels/tile_table.h"

#include "engine/kernels/scalar/scalar.h"

namespace potluck::tiles {

const FormatTiles* find_tiles(const TileFamilies& families, TensorType type, ActivationForm form) {
  for (std::span<const FormatTiles> family : families) {
    for (const FormatTiles& known : family) {
      if (known.type == type && known.form == form) return &known;
    }
  }
  return nullptr;
}

// A single token is a matter of streaming: one panel after the other, as fast as memory gives them.
// With more tokens two panels side by side share the loads of the activations.
void multiply(const TileFamilies& families, const PanelMatrix& w, const ActivationView& x,
              const uint32_t* rows, uint32_t tokens, uint32_t panel_begin, uint32_t panel_end,
              float* y, uint64_t y_stride) {
  const FormatTiles* found = find_tiles(families, w.shape.type, x.form);
  if (found == nullptr) {
    return scalar::matmul(w, x, rows, tokens, panel_begin, panel_end, y, y_stride);
  }
  check_matmul(w, x, panel_begin, panel_end);
  Product product(w, x, rows, y, y_stride);
  uint32_t paired_end = panel_begin;
  // An odd panel at the end goes alone.
  if (tokens > 1 && found->pairs()) paired_end = panel_end - (panel_end - panel_begin) % 2;
  PanelRange pairs{panel_begin, paired_end};
  PanelRange rest{paired_end, panel_end};
  if (x.form == ActivationForm::kF32) {
    if (pairs.begin < pairs.end) found->float_two_panels(product, tokens, pairs);
    if (rest.begin < rest.end) found->float_one_panel(product, tokens, rest);
    return;
  }
  run_quantized<2>(found->two_panels, product, tokens, pairs);
  run_quantized<1>(found->one_panel, product, tokens, rest);
}

}  // namespace potluck::tiles
