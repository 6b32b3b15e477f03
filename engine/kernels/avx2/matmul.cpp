// y = W x: chooses the tiles for the format.
#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride) {
  check_matmul(w, x, panel_begin, panel_end);
  tiles::Product product(w, x, rows, y, y_stride);
  if (x.form == ActivationForm::kF32) {
    return float_matmul(product, tokens, {panel_begin, panel_end});
  }
  bool super_blocks = block_format(w.shape.type).block_elements > tiles::kBlockColumns;
  tiles::TileSet set = super_blocks ? k_tiles(w.shape.type, x.form) : block32_tiles(w.shape.type);
  tiles::run_quantized<1>(set, product, tokens, {panel_begin, panel_end});
}

}  // namespace potluck::avx2
