// y = W x: chooses the tiles for the format, and whether panels go in pairs.
#include "engine/kernels/avx512/avx512.h"
#include "engine/kernels/avx512/tiles.h"

namespace potluck::avx512 {

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride) {
  check_matmul(w, x, panel_begin, panel_end);
  tiles::Product product(w, x, rows, y, y_stride);
  uint32_t paired_end = panel_end - (panel_end - panel_begin) % 2;
  if (tokens == 1) paired_end = panel_begin;
  if (x.form == ActivationForm::kF32) {
    float_matmul(product, tokens, {panel_begin, paired_end});
    return avx2::matmul(w, x, rows, tokens, paired_end, panel_end, y, y_stride);
  }
  bool super_blocks = block_format(w.shape.type).block_elements > tiles::kBlockColumns;
  TileSets sets = super_blocks ? k_tiles(w.shape.type, x.form) : block32_tiles(w.shape.type);
  tiles::run_quantized<2>(sets.two_panels, product, tokens, {panel_begin, paired_end});
  tiles::run_quantized<1>(sets.one_panel, product, tokens, {paired_end, panel_end});
}

}  // namespace potluck::avx512
