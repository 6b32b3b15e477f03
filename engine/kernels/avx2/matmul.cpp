#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {

tiles::TileFamilies tile_families() {
  return {block32_tiles(), k_tiles(), coded_tiles(), float_tiles()};
}

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride) {
  tiles::multiply(tile_families(), w, x, rows, tokens, panel_begin, panel_end, y, y_stride);
}

}  // namespace potluck::avx2
