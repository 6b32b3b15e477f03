// y = W x, one panel and one token at a time. The panel functions below walk the blocks of a panel
// in sequence, with one accumulator per row.
#include "engine/base/check.h"
#include "engine/kernels/matmul_rows.h"
#include "engine/kernels/panel_layout.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::scalar {
namespace {

constexpr uint32_t kVector = 4 * kPanelRows;  // bytes of 8 rows x 4 columns

using PanelFunction = void (*)(const PanelShape& shape, const PanelLayout& layout,
                               const std::byte* panel, const TokenRow& x, float acc[kPanelRows]);

int to_int(std::byte value) {
  return std::to_integer<int>(value);
}

float half_at(const std::byte* halves, uint32_t row) {
  return half_to_float(load<uint16_t>(halves + 2 * row));
}

// sums[row] += the products of one vector of 4 columns, whose quants `weight(byte)` reads.
template <class Weight>
void add_products(const int8_t* x, const Weight& weight, int32_t sums[kPanelRows]) {
  for (uint32_t row = 0; row < kPanelRows; ++row) {
    for (uint32_t k = 0; k < 4; ++k) sums[row] += weight(4 * row + k) * x[k];
  }
}

void float_panel(const PanelShape& shape, const PanelLayout& layout, const std::byte* panel,
                 const TokenRow& x, float acc[kPanelRows]) {
  const BlockFormat& format = block_format(shape.type);
  for (uint32_t column = 0; column < shape.columns; ++column) {
    float weights[kPanelRows];
    format.decode(panel + uint64_t{column} * layout.block_bytes, kPanelRows, weights);
    for (uint32_t row = 0; row < kPanelRows; ++row) acc[row] += weights[row] * x.values[column];
  }
}

void q8_0_panel(const PanelShape& shape, const PanelLayout& layout, const std::byte* panel,
                const TokenRow& x, float acc[kPanelRows]) {
  for_each_block(shape, layout, [&](uint32_t block, uint64_t, uint64_t at) {
    const std::byte* quants = panel + at + 2 * kPanelRows;
    int32_t sums[kPanelRows] = {};
    for (uint32_t v = 0; v < 8; ++v) {
      auto weight = [&](uint32_t i) { return static_cast<int8_t>(quants[kVector * v + i]); };
      add_products(x.quants + 32 * block + 4 * v, weight, sums);
    }
    for (uint32_t row = 0; row < kPanelRows; ++row) {
      acc[row] += (half_at(panel + at, row) * x.scales[block]) * static_cast<float>(sums[row]);
    }
  });
}

// Nibbles of the vector v: its low ones are columns 4 v.., its high ones 16 + 4 v...
void add_nibbles(const std::byte* quants, const int8_t* x, int offset, int32_t sums[kPanelRows]) {
  for (uint32_t v = 0; v < 4; ++v) {
    auto low = [&](uint32_t i) { return (to_int(quants[kVector * v + i]) & 15) - offset; };
    auto high = [&](uint32_t i) { return (to_int(quants[kVector * v + i]) >> 4) - offset; };
    add_products(x + 4 * v, low, sums);
    add_products(x + 16 + 4 * v, high, sums);
  }
}

void q4_0_panel(const PanelShape& shape, const PanelLayout& layout, const std::byte* panel,
                const TokenRow& x, float acc[kPanelRows]) {
  for_each_block(shape, layout, [&](uint32_t block, uint64_t, uint64_t at) {
    int32_t sums[kPanelRows] = {};
    add_nibbles(panel + at + 2 * kPanelRows, x.quants + 32 * block, 8, sums);
    for (uint32_t row = 0; row < kPanelRows; ++row) {
      acc[row] += (half_at(panel + at, row) * x.scales[block]) * static_cast<float>(sums[row]);
    }
  });
}

// kForm says after how many blocks of 32 the integers meet their scales: 8 or 1.
template <ActivationForm kForm>
constexpr uint32_t kBlocksPerScale = activation_block(kForm) / 32;

template <ActivationForm kForm>
void q4_k_panel(const PanelShape& shape, const PanelLayout& layout, const std::byte* panel,
                const TokenRow& x, float acc[kPanelRows]) {
  int32_t scaled[kPanelRows] = {};
  int32_t minimums[kPanelRows] = {};
  for_each_block(shape, layout, [&](uint32_t block, uint64_t head, uint64_t at) {
    int32_t sums[kPanelRows] = {};
    add_nibbles(panel + at + 2 * kPanelRows, x.quants + 32 * block, 0, sums);
    int32_t x_sum = x.sums[2 * block] + x.sums[2 * block + 1];
    for (uint32_t row = 0; row < kPanelRows; ++row) {
      scaled[row] += to_int(panel[at + row]) * sums[row];
      minimums[row] += to_int(panel[at + kPanelRows + row]) * x_sum;
    }
    if ((block + 1) % kBlocksPerScale<kForm> != 0) return;
    float dx = x.scales[block / kBlocksPerScale<kForm>];
    for (uint32_t row = 0; row < kPanelRows; ++row) {
      float d = half_at(panel + head, row);
      float dmin = half_at(panel + head + 2 * kPanelRows, row);
      acc[row] += (d * dx) * static_cast<float>(scaled[row]) -
                  (dmin * dx) * static_cast<float>(minimums[row]);
      scaled[row] = minimums[row] = 0;
    }
  });
}

// The vector v (columns 4 v..) of a Q6_K block: 4 low bits, 2 high bits, offset 32.
void add_q6_k_vector(const std::byte* quants, uint32_t v, const int8_t* x,
                     int32_t sums[kPanelRows]) {
  const std::byte* low = quants + kVector * (v % 4);
  const std::byte* high = quants + 4 * kVector + kVector * (v / 4);
  uint32_t low_shift = v < 4 ? 0 : 4;
  uint32_t high_shift = 2 * (v % 4);
  auto weight = [&](uint32_t i) {
    int nibble = (to_int(low[i]) >> low_shift) & 15;
    int pair = (to_int(high[i]) >> high_shift) & 3;
    return (nibble | pair << 4) - 32;
  };
  add_products(x, weight, sums);
}

template <ActivationForm kForm>
void q6_k_panel(const PanelShape& shape, const PanelLayout& layout, const std::byte* panel,
                const TokenRow& x, float acc[kPanelRows]) {
  int32_t scaled[kPanelRows] = {};
  for_each_block(shape, layout, [&](uint32_t block, uint64_t head, uint64_t at) {
    for (uint32_t half = 0; half < 2; ++half) {
      int32_t sums[kPanelRows] = {};
      for (uint32_t v = 4 * half; v < 4 * half + 4; ++v) {
        add_q6_k_vector(panel + at + 2 * kPanelRows, v, x.quants + 32 * block + 4 * v, sums);
      }
      for (uint32_t row = 0; row < kPanelRows; ++row) {
        scaled[row] += static_cast<int8_t>(panel[at + kPanelRows * half + row]) * sums[row];
      }
    }
    if ((block + 1) % kBlocksPerScale<kForm> != 0) return;
    float dx = x.scales[block / kBlocksPerScale<kForm>];
    for (uint32_t row = 0; row < kPanelRows; ++row) {
      acc[row] += (half_at(panel + head, row) * dx) * static_cast<float>(scaled[row]);
      scaled[row] = 0;
    }
  });
}

PanelFunction panel_function(TensorType type, ActivationForm form) {
  constexpr ActivationForm kSmall = ActivationForm::kQ8Block32;
  constexpr ActivationForm kLarge = ActivationForm::kQ8Block256;
  bool large = form == kLarge;
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return float_panel;
    case TensorType::kQ4_0:
      return q4_0_panel;
    case TensorType::kQ8_0:
      return q8_0_panel;
    case TensorType::kQ4_K:
      return large ? q4_k_panel<kLarge> : q4_k_panel<kSmall>;
    case TensorType::kQ6_K:
      return large ? q6_k_panel<kLarge> : q6_k_panel<kSmall>;
  }
  CHECK(false && "no product for this type");
}

}  // namespace

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride) {
  check_matmul(w, x, panel_begin, panel_end);
  const PanelLayout& layout = panel_layout(w.shape.type);
  PanelFunction product = panel_function(w.shape.type, x.form);
  uint64_t panel_bytes = w.shape.panel_bytes();
  TokenRows x_rows(x, rows);
  for (uint32_t panel = panel_begin; panel < panel_end; ++panel) {
    for (uint32_t token = 0; token < tokens; ++token) {
      float acc[kPanelRows] = {};
      product(w.shape, layout, w.data + panel * panel_bytes, x_rows[token], acc);
      float* out = y + token * y_stride + uint64_t{panel} * kPanelRows;
      std::copy_n(acc, rows_in_panel(w.shape, panel), out);
    }
  }
}

}  // namespace potluck::scalar
