// Float weights: F32, F16, BF16.
#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/avx2/vector.h"

namespace potluck::avx2 {
namespace {

struct OnePanel {
  using Float = __m256;
  static constexpr uint32_t kPanels = 1;
  static void add(__m256 weights, float x, __m256& acc) {
    acc = multiply_add(acc, weights, _mm256_set1_ps(x));
  }
  static void store(__m256 acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

struct F32 : OnePanel {
  static constexpr uint32_t kBytes = 32;
  static __m256 load(const std::byte* from, uint64_t) {
    return _mm256_castsi256_ps(load_bytes(from));
  }
};

struct F16 : OnePanel {
  static constexpr uint32_t kBytes = 16;
  static __m256 load(const std::byte* from, uint64_t) { return load_halves(from); }
};

struct Bf16 : OnePanel {
  static constexpr uint32_t kBytes = 16;
  static __m256 load(const std::byte* from, uint64_t) {
    __m256i wide = _mm256_cvtepu16_epi32(load_half_vector(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
};

template <class Format>
constexpr tiles::FormatTiles row(TensorType type) {
  return {.type = type, .form = ActivationForm::kF32, .float_one_panel = tiles::run_float<Format>};
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

}  // namespace potluck::avx2
