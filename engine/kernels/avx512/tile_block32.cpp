// Formats whose block of 32 has one scale: Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4; with an addend: Q4_1,
// Q5_1.
#include "engine/kernels/avx512/quant_vectors.h"
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/codebooks.h"

namespace potluck::avx512 {
namespace {

// What all have: the scale of each row in front of the quants, and quants with an offset that is
// taken off through the sum of x.
template <uint32_t kPanelCount, int16_t kOffset>
struct ScaledBlock {
  static constexpr uint32_t kPanels = kPanelCount;
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;
  Float scale;
  Int quants[kBlockVectors];

  explicit ScaledBlock(Float d) : scale(d) {}

  void add(const int8_t* x, const int16_t* sums, float dx, Float& acc) const {
    constexpr int32_t kOffsets = static_cast<uint16_t>(kOffset) * 0x10001u;
    Int offset = dot_pairs(Int{}, broadcast<kPanels>(kOffsets), broadcast4<kPanels>(sums));
    acc += (scale * dx) * to_float<kPanels>(dot32<kPanels>(offset, quants, x));
  }
  static void store(Float acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

template <uint32_t kPanels>
struct Q8_0Block : ScaledBlock<kPanels, -128> {
  static constexpr uint32_t kBytes = 16 + 256;

  Q8_0Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<kPanels, -128>(load_halves<kPanels>(from, stride)) {
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      this->quants[v] = load_vector<kPanels>(from + 16 + kVectorBytes * v, stride);
    }
    add_128<kPanels>(this->quants);
  }
};

template <uint32_t kPanels>
struct Q4_0Block : ScaledBlock<kPanels, -8> {
  static constexpr uint32_t kBytes = 16 + 128;

  Q4_0Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<kPanels, -8>(load_halves<kPanels>(from, stride)) {
    unpack_nibbles<kPanels>(from + 16, stride, this->quants);
  }
};

template <uint32_t kPanels>
struct Q5_0Block : ScaledBlock<kPanels, -16> {
  static constexpr uint32_t kBytes = 16 + 160;

  Q5_0Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<kPanels, -16>(load_halves<kPanels>(from, stride)) {
    unpack_nibbles<kPanels>(from + 16, stride, this->quants);
    add_bits<4, kPanels>(from + 16 + 128, stride, this->quants);
  }
};

template <uint32_t kPanels>
struct Iq4Block : ScaledBlock<kPanels, -128> {
  static constexpr uint32_t kBytes = 16 + 128;

  Iq4Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<kPanels, -128>(load_halves<kPanels>(from, stride)) {
    unpack_nibbles<kPanels>(from + 16, stride, this->quants);
    look_up<128, kPanels>(codebooks::kIq4, this->quants);
  }
};

template <uint32_t kPanels>
struct Mxfp4Block : ScaledBlock<kPanels, -12> {
  static constexpr uint32_t kBytes = 8 + 128;

  Mxfp4Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<kPanels, -12>(load_exponents<kPanels>(from, stride)) {
    unpack_nibbles<kPanels>(from + 8, stride, this->quants);
    look_up<12, kPanels>(codebooks::kE2M1, this->quants);
  }
};

// With -m in each row.
template <uint32_t kPanelCount>
struct MinimumBlock {
  static constexpr uint32_t kPanels = kPanelCount;
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;
  Float scale;
  Float minimum;
  Int quants[kBlockVectors];

  MinimumBlock(const std::byte* from, uint64_t stride)
      : scale(load_halves<kPanels>(from, stride)),
        minimum(load_halves<kPanels>(from + 16, stride)) {
    unpack_nibbles<kPanels>(from + 32, stride, quants);
  }

  void add(const int8_t* x, const int16_t* sums, float dx, Float& acc) const {
    auto x_sum = static_cast<float>(sums[0] + sums[1]);
    acc +=
        (scale * dx) * to_float<kPanels>(dot32<kPanels>(Int{}, quants, x)) - (minimum * dx) * x_sum;
  }
  static void store(Float acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

template <uint32_t kPanels>
struct Q4_1Block : MinimumBlock<kPanels> {
  static constexpr uint32_t kBytes = 32 + 128;

  using MinimumBlock<kPanels>::MinimumBlock;
};

template <uint32_t kPanels>
struct Q5_1Block : MinimumBlock<kPanels> {
  static constexpr uint32_t kBytes = 32 + 160;

  Q5_1Block(const std::byte* from, uint64_t stride) : MinimumBlock<kPanels>(from, stride) {
    add_bits<4, kPanels>(from + 32 + 128, stride, this->quants);
  }
};

template <class Block, uint32_t... kBefore>
constexpr tiles::TileSet tile_set(std::integer_sequence<uint32_t, kBefore...>) {
  return {{tiles::block_tile<Block, kBefore + 1>...}};
}

template <template <uint32_t> class Block>
constexpr tiles::FormatTiles row(TensorType type) {
  return {
      .type = type,
      .form = ActivationForm::kQ8Block32,
      .one_panel = tiles::two_tiles(tiles::block_tile<Block<1>, 1>, tiles::block_tile<Block<1>, 0>),
      .two_panels = tile_set<Block<2>>(Tokens{})};
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

}  // namespace potluck::avx512
