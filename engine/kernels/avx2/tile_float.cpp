// Float weights: every column is one product and one addition per row, so a single accumulator
// would wait for the adder. Tiles of several panels and tokens keep eight of them busy.
#include "engine/base/check.h"
#include "engine/kernels/avx2/tile_output.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

struct F32 {
  static constexpr uint32_t kBytes = 32;
  static __m256 load(const std::byte* from) {
    return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from)));
  }
};

struct F16 {
  static constexpr uint32_t kBytes = 16;
  static __m256 load(const std::byte* from) { return load_halves(from); }
};

struct Bf16 {
  static constexpr uint32_t kBytes = 16;
  static __m256 load(const std::byte* from) {
    __m256i wide = _mm256_cvtepu16_epi32(load_half_vector(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
};

// A product of float weights: what float_matmul was asked for.
struct Product {
  const PanelMatrix& w;
  const ActivationView& x;
  const uint32_t* rows;
  float* y;
  uint64_t y_stride;
};

// The loops over tokens and panels are unrolled by order: only then do the accumulators live in
// registers.
template <class Format, uint32_t kPanels, uint32_t kTokens>
void tile(const Product& product, uint32_t panel, uint32_t token) {
  const PanelShape& shape = product.w.shape;
  uint64_t stride = shape.panel_bytes();
  const std::byte* w = product.w.data + panel * stride;
  const float* x[kTokens];
  for (uint32_t t = 0; t < kTokens; ++t) {
    x[t] = token_row(product.x, product.rows, token + t).values;
  }
  __m256 acc[kTokens][kPanels] = {};
  uint32_t columns = shape.columns;
  for (uint32_t column = 0; column < columns; ++column) {
    if (kTokens <= 2 && column % (64 / Format::kBytes) == 0) {
#pragma GCC unroll 8
      for (uint32_t p = 0; p < kPanels; ++p) prefetch(w + p * stride + kPrefetchAhead / kPanels);
    }
    __m256 weights[kPanels];
#pragma GCC unroll 8
    for (uint32_t p = 0; p < kPanels; ++p) weights[p] = Format::load(w + p * stride);
    w += Format::kBytes;
#pragma GCC unroll 8
    for (uint32_t t = 0; t < kTokens; ++t) {
      __m256 value = _mm256_broadcast_ss(x[t] + column);
#pragma GCC unroll 8
      for (uint32_t p = 0; p < kPanels; ++p) {
        acc[t][p] = multiply_add(acc[t][p], weights[p], value);
      }
    }
  }
#pragma GCC unroll 8
  for (uint32_t p = 0; p < kPanels; ++p) {
    float* y = product.y + token * product.y_stride + uint64_t{panel + p} * kPanelRows;
    uint32_t rows = rows_in_panel(shape, panel + p);
#pragma GCC unroll 8
    for (uint32_t t = 0; t < kTokens; ++t) store_rows(acc[t][p], rows, y + t * product.y_stride);
  }
}

template <class Format, uint32_t kPanels, uint32_t kTokens>
void panels(const Product& product, uint32_t begin, uint32_t end, uint32_t token) {
  for (; begin + kPanels <= end; begin += kPanels) {
    tile<Format, kPanels, kTokens>(product, begin, token);
  }
  for (; begin < end; ++begin) tile<Format, 1, kTokens>(product, begin, token);
}

// Groups of eight panels stay in the cache while all tokens pass over them.
template <class Format>
void all_panels(const Product& product, uint32_t tokens, uint32_t begin, uint32_t end) {
  constexpr uint32_t kGroup = 8;
  for (uint32_t group = begin; group < end; group += kGroup) {
    uint32_t stop = end - group < kGroup ? end : group + kGroup;
    uint32_t token = 0;
    for (; token + 4 <= tokens; token += 4) panels<Format, 2, 4>(product, group, stop, token);
    switch (tokens - token) {
      case 3:
        panels<Format, 2, 3>(product, group, stop, token);
        break;
      case 2:
        panels<Format, 4, 2>(product, group, stop, token);
        break;
      case 1:
        panels<Format, 4, 1>(product, group, stop, token);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void float_matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows,
                  uint32_t tokens, uint32_t panel_begin, uint32_t panel_end, float* y,
                  uint64_t y_stride) {
  Product product{w, x, rows, y, y_stride};
  switch (w.shape.type) {
    case TensorType::kF32:
      return all_panels<F32>(product, tokens, panel_begin, panel_end);
    case TensorType::kF16:
      return all_panels<F16>(product, tokens, panel_begin, panel_end);
    default:
      CHECK(w.shape.type == TensorType::kBF16);
      return all_panels<Bf16>(product, tokens, panel_begin, panel_end);
  }
}

}  // namespace potluck::avx2
