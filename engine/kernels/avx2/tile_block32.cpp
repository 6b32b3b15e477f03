// Formats whose block of 32 has one scale: Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4; with an addend: Q4_1,
// Q5_1.
#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/codebooks.h"

namespace potluck::avx2 {
namespace {

// What all have: the scale of each row in front of the quants.
struct ScaledBlock {
  using Float = __m256;
  static constexpr uint32_t kPanels = 1;
  __m256 scale;

  explicit ScaledBlock(__m256 d) : scale(d) {}

  void add_scaled(__m256i dot, float dx, __m256& acc) const {
    __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(dx));
    acc = multiply_add(acc, both, _mm256_cvtepi32_ps(dot));
  }
  static void store(__m256 acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

// Quants with their sign.
struct SignedBlock : ScaledBlock {
  __m256i quants[kBlockVectors];
  __m256i magnitudes[kBlockVectors];

  using ScaledBlock::ScaledBlock;

  void take_magnitudes() {
    for (uint32_t v = 0; v < kBlockVectors; ++v) magnitudes[v] = _mm256_abs_epi8(quants[v]);
  }

  void add(const int8_t* x, const int16_t*, float dx, __m256& acc) const {
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      sum = _mm256_add_epi32(sum, add_pairs(dot_signed(quants[v], magnitudes[v], x + 4 * v)));
    }
    add_scaled(sum, dx, acc);
  }
};

struct Q8_0Block : SignedBlock {
  static constexpr uint32_t kBytes = 16 + 256;

  Q8_0Block(const std::byte* from, uint64_t) : SignedBlock(load_halves(from)) {
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      quants[v] = load_bytes(from + 16 + kVectorBytes * v);
    }
    take_magnitudes();
  }
};

struct Iq4Block : SignedBlock {
  static constexpr uint32_t kBytes = 16 + 128;

  Iq4Block(const std::byte* from, uint64_t) : SignedBlock(load_halves(from)) {
    unpack_nibbles(from + 16, quants);
    look_up<0>(codebooks::kIq4, quants);
    take_magnitudes();
  }
};

// Quants with an offset, which is taken off through the sum of x.
template <int kOffset>
struct OffsetBlock : ScaledBlock {
  __m256i quants[kBlockVectors];

  using ScaledBlock::ScaledBlock;

  void add_dot(__m256i dot, const int16_t* sums, float dx, __m256& acc) const {
    __m256i offset = _mm256_set1_epi32(kOffset * (sums[0] + sums[1]));
    add_scaled(_mm256_sub_epi32(dot, offset), dx, acc);
  }
};

struct Q4_0Block : OffsetBlock<8> {
  static constexpr uint32_t kBytes = 16 + 128;

  Q4_0Block(const std::byte* from, uint64_t) : OffsetBlock(load_halves(from)) {
    unpack_nibbles(from + 16, quants);
  }

  void add(const int8_t* x, const int16_t* sums, float dx, __m256& acc) const {
    add_dot(add_pairs(dot_nibbles(quants, x)), sums, dx, acc);
  }
};

// The sum over 32 columns of quants of at most 31: the halves are added as int32.
inline __m256i dot_halves(const __m256i quants[kBlockVectors], const int8_t* x) {
  return _mm256_add_epi32(add_pairs(dot16(quants, x)), add_pairs(dot16(quants + 4, x + 16)));
}

struct Q5_0Block : OffsetBlock<16> {
  static constexpr uint32_t kBytes = 16 + 160;

  Q5_0Block(const std::byte* from, uint64_t) : OffsetBlock(load_halves(from)) {
    unpack_nibbles(from + 16, quants);
    add_bits<4>(from + 16 + 128, quants);
  }

  void add(const int8_t* x, const int16_t* sums, float dx, __m256& acc) const {
    add_dot(dot_halves(quants, x), sums, dx, acc);
  }
};

// Twice the numbers -6..6, plus 12.
struct Mxfp4Block : OffsetBlock<12> {
  static constexpr uint32_t kBytes = 8 + 128;

  Mxfp4Block(const std::byte* from, uint64_t) : OffsetBlock(load_exponents(from)) {
    unpack_nibbles(from + 8, quants);
    look_up<12>(codebooks::kE2M1, quants);
  }

  void add(const int8_t* x, const int16_t* sums, float dx, __m256& acc) const {
    add_dot(dot_halves(quants, x), sums, dx, acc);
  }
};

// With -m in each row.
struct MinimumBlock {
  using Float = __m256;
  static constexpr uint32_t kPanels = 1;
  __m256 scale;
  __m256 minimum;
  __m256i quants[kBlockVectors];

  explicit MinimumBlock(const std::byte* from)
      : scale(load_halves(from)), minimum(load_halves(from + 16)) {
    unpack_nibbles(from + 32, quants);
  }

  void add_dot(__m256i dot, const int16_t* sums, float dx, __m256& acc) const {
    __m256 x = _mm256_set1_ps(dx);
    __m256 x_sum = _mm256_set1_ps(static_cast<float>(sums[0] + sums[1]));
    __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(scale, x), _mm256_cvtepi32_ps(dot));
    __m256 minimums = _mm256_mul_ps(_mm256_mul_ps(minimum, x), x_sum);
    acc = _mm256_add_ps(acc, _mm256_sub_ps(scaled, minimums));
  }
  static void store(__m256 acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

struct Q4_1Block : MinimumBlock {
  static constexpr uint32_t kBytes = 32 + 128;

  Q4_1Block(const std::byte* from, uint64_t) : MinimumBlock(from) {}

  void add(const int8_t* x, const int16_t* sums, float dx, __m256& acc) const {
    add_dot(add_pairs(dot_nibbles(quants, x)), sums, dx, acc);
  }
};

struct Q5_1Block : MinimumBlock {
  static constexpr uint32_t kBytes = 32 + 160;

  Q5_1Block(const std::byte* from, uint64_t) : MinimumBlock(from) {
    add_bits<4>(from + 32 + 128, quants);
  }

  void add(const int8_t* x, const int16_t* sums, float dx, __m256& acc) const {
    add_dot(dot_halves(quants, x), sums, dx, acc);
  }
};

template <class Block>
constexpr tiles::FormatTiles row(TensorType type) {
  return {.type = type,
          .form = ActivationForm::kQ8Block32,
          .one_panel = tiles::two_tiles(tiles::block_tile<Block, 1>, tiles::block_tile<Block, 0>)};
}

constexpr tiles::FormatTiles kTiles[] = {
    row<Q4_0Block>(TensorType::kQ4_0),   row<Q4_1Block>(TensorType::kQ4_1),
    row<Q5_0Block>(TensorType::kQ5_0),   row<Q5_1Block>(TensorType::kQ5_1),
    row<Q8_0Block>(TensorType::kQ8_0),   row<Iq4Block>(TensorType::kIQ4_NL),
    row<Mxfp4Block>(TensorType::kMXFP4),
};

}  // namespace

std::span<const tiles::FormatTiles> block32_tiles() {
  return kTiles;
}

}  // namespace potluck::avx2
