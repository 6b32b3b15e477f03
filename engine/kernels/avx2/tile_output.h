// Writing a tile's accumulators, of which the last rows may lie beyond the matrix. Internal to
// engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/avx2/vector.h"

namespace potluck::avx2 {

static inline void store_rows(__m256 values, uint32_t rows, float* y) {
  if (rows == kPanelRows) {
    _mm256_storeu_ps(y, values);
  } else {
    _mm256_maskstore_ps(y, lane_mask(rows), values);
  }
}

static inline void store_tile(const __m256* acc, uint32_t tokens, const TileOutput& out) {
  for (uint32_t t = 0; t < tokens; ++t) store_rows(acc[t], out.rows, out.y + t * out.y_stride);
}

}  // namespace potluck::avx2
