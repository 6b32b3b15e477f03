// Float weights: F32, F16, BF16.
#include "engine/base/check.h"
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/avx512/vector.h"

namespace potluck::avx512 {
namespace {

struct TwoPanels {
  static constexpr uint32_t kPanels = 2;
  using Float = avx512::Float<kPanels>;
  static void add(Float weights, float x, Float& acc) { acc += weights * x; }
  static void store(Float acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

struct F32 : TwoPanels {
  static constexpr uint32_t kBytes = 32;
  static Float load(const std::byte* from, uint64_t stride) {
    return reinterpret_cast<Float>(load_vector<kPanels>(from, stride));
  }
};

struct F16 : TwoPanels {
  static constexpr uint32_t kBytes = 16;
  static Float load(const std::byte* from, uint64_t stride) {
    return load_halves<kPanels>(from, stride);
  }
};

struct Bf16 : TwoPanels {
  static constexpr uint32_t kBytes = 16;
  static Float load(const std::byte* from, uint64_t stride) {
    return load_bfloats<kPanels>(from, stride);
  }
};

}  // namespace

void float_matmul(const tiles::Product& product, uint32_t tokens, tiles::PanelRange range) {
  switch (product.shape.type) {
    case TensorType::kF32:
      return tiles::run_float<F32>(product, tokens, range);
    case TensorType::kF16:
      return tiles::run_float<F16>(product, tokens, range);
    default:
      CHECK(product.shape.type == TensorType::kBF16);
      return tiles::run_float<Bf16>(product, tokens, range);
  }
}

}  // namespace potluck::avx512
