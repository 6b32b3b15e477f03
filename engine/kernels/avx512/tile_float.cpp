// Float weights: F32, F16, BF16.
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/avx512/vector.h"

namespace potluck::avx512 {
namespace {

template <uint32_t kPanelCount>
struct Panels {
  static constexpr uint32_t kPanels = kPanelCount;
  using Float = avx512::Float<kPanels>;
  static void add(Float weights, float x, Float& acc) { acc += weights * x; }
  static void store(Float acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

template <uint32_t kPanels>
struct F32 : Panels<kPanels> {
  using Float = avx512::Float<kPanels>;
  static constexpr uint32_t kBytes = 32;
  static Float load(const std::byte* from, uint64_t stride) {
    return reinterpret_cast<Float>(load_vector<kPanels>(from, stride));
  }
};

template <uint32_t kPanels>
struct F16 : Panels<kPanels> {
  using Float = avx512::Float<kPanels>;
  static constexpr uint32_t kBytes = 16;
  static Float load(const std::byte* from, uint64_t stride) {
    return load_halves<kPanels>(from, stride);
  }
};

template <uint32_t kPanels>
struct Bf16 : Panels<kPanels> {
  using Float = avx512::Float<kPanels>;
  static constexpr uint32_t kBytes = 16;
  static Float load(const std::byte* from, uint64_t stride) {
    return load_bfloats<kPanels>(from, stride);
  }
};

template <template <uint32_t> class Format>
constexpr tiles::FormatTiles row(TensorType type) {
  return {.type = type,
          .form = ActivationForm::kF32,
          .float_one_panel = tiles::run_float<Format<1>>,
          .float_two_panels = tiles::run_float<Format<2>>};
}

constexpr tiles::FormatTiles kTiles[] = {
    row<F32>(TensorType::kF32),
    row<F16>(TensorType::kF16),
    row<Bf16>(TensorType::kBF16),
};

}  // namespace

std::span<const tiles::FormatTiles> float_tiles() {
  return kTiles;
}

}  // namespace potluck::avx512
