// y = W x, one panel and a few tokens at a time: blocks in sequence, one accumulator per row. This
// is the definition that every other kernel follows to the bit.
#include "engine/base/check.h"
#include "engine/kernels/matmul_rows.h"
#include "engine/kernels/panel_layout.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::scalar {
namespace {

using block_fields::kBlock;

// A block is unpacked once for so many tokens.
constexpr uint32_t kTileTokens = 8;

// The sums of one panel's rows.
using Rows = float[kPanelRows];

void float_panel(const PanelShape& shape, const std::byte* panel, const TokenRow* x,
                 uint32_t tokens, Rows* acc) {
  const BlockFormat& format = block_format(shape.type);
  uint64_t column_bytes = uint64_t{kPanelRows} * format.block_bytes;
  for (uint32_t column = 0; column < shape.columns; ++column) {
    float weights[kPanelRows];
    format.decode(panel + column * column_bytes, kPanelRows, weights);
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t row = 0; row < kPanelRows; ++row) {
        // Two roundings: the file is compiled with -ffp-contract=off.
        acc[t][row] += weights[row] * x[t].values[column];
      }
    }
  }
}

// One row of a block, ready to be multiplied.
struct Weights {
  Weights(const BlockFormat& format, const BlockPart& part)
      : d(format.numbers.d(part.d)), dmin(half_to_float(part.dmin)) {
    for (uint32_t i = 0; i < kBlock; ++i) w[i] = format.numbers.weight(part.q[i]);
    for (uint32_t i = 0; i < 2; ++i) {
      scale[i] = format.numbers.factor(part.scale[i]);
      minimum[i] = part.minimum[i];
    }
  }

  float d;
  float dmin;
  int32_t scale[2];  // of columns 0-15 and 16-31
  int32_t minimum[2];
  int16_t w[kBlock];
};

// In int16, of which every processor has a fast product; a loop that is unrolled is not turned into
// vectors.
int32_t dot16(const int16_t* a, const int16_t* b) {
  int32_t sum = 0;
#pragma GCC unroll 1
  for (uint32_t i = 0; i < 16; ++i) sum += a[i] * b[i];
  return sum;
}

// The integers of one row and token, until they meet their float scales.
struct Sums {
  int64_t scaled = 0;  // of NVFP4 beyond an int32
  int32_t minimums = 0;

  void add(const Weights& row, const int16_t* x, const int16_t* x_sums) {
    for (uint32_t i = 0; i < 2; ++i) {
      scaled += int64_t{row.scale[i]} * dot16(row.w + 16 * i, x + 16 * i);
      minimums += row.minimum[i] * x_sums[i];
    }
  }
};

float finish(const Weights& row, const Sums& sums, float dx, bool minimums) {
  // The scales first, then the integer: (d * dx) * i. Any other order of these products rounds
  // differently.
  float scaled = (row.d * dx) * static_cast<float>(sums.scaled);
  if (!minimums) return scaled;
  return scaled - (row.dmin * dx) * static_cast<float>(sums.minimums);
}

// `blocks_per_scale` blocks of 32 share a scale of the activations: 8 or 1.
void quantized_panel(const PanelShape& shape, const std::byte* panel, const TokenRow* x,
                     uint32_t tokens, uint32_t blocks_per_scale, Rows* acc) {
  const PanelLayout& layout = panel_layout(shape.type);
  const BlockFormat& format = block_format(shape.type);
  Sums sums[kTileTokens][kPanelRows];
  int16_t wide[kTileTokens][kBlock];  // the block's quants of the activations
  for_each_block(shape, layout, [&](uint32_t block, uint64_t head, uint64_t at) {
    for (uint32_t t = 0; t < tokens; ++t)
      std::copy_n(x[t].quants + kBlock * block, kBlock, wide[t]);
    bool last = (block + 1) % blocks_per_scale == 0;
    uint32_t scale = block / blocks_per_scale;
    for (uint32_t row = 0; row < kPanelRows; ++row) {
      BlockPart part;
      layout.read_block(panel + head, panel + at, row, part);
      Weights weights(format, part);
      for (uint32_t t = 0; t < tokens; ++t) {
        Sums& sum = sums[t][row];
        sum.add(weights, wide[t], x[t].sums + 2 * block);
        if (!last) continue;
        acc[t][row] += finish(weights, sum, x[t].scales[scale], format.numbers.minimums);
        sum = {};
      }
    }
  });
}

}  // namespace

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride) {
  check_matmul(w, x, panel_begin, panel_end);
  uint64_t panel_bytes = w.shape.panel_bytes();
  TokenRows x_rows(x, rows);
  for (uint32_t first = 0; first < tokens; first += kTileTokens) {
    uint32_t count = std::min(kTileTokens, tokens - first);
    TokenRow tile[kTileTokens];
    for (uint32_t t = 0; t < count; ++t) tile[t] = x_rows[first + t];
    for (uint32_t panel = panel_begin; panel < panel_end; ++panel) {
      Rows acc[kTileTokens] = {};
      const std::byte* from = w.data + panel * panel_bytes;
      if (x.form == ActivationForm::kF32) {
        float_panel(w.shape, from, tile, count, acc);
      } else {
        quantized_panel(w.shape, from, tile, count, activation_block(x.form) / kBlock, acc);
      }
      for (uint32_t t = 0; t < count; ++t) {
        float* out = y + (first + t) * y_stride + uint64_t{panel} * kPanelRows;
        std::copy_n(acc[t], rows_in_panel(w.shape, panel), out);
      }
    }
  }
}

}  // namespace potluck::scalar
