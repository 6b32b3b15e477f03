// Formats whose block of 32 has one scale: Q8_0, Q4_0.
#include "engine/base/check.h"
#include "engine/kernels/avx512/quant_vectors.h"
#include "engine/kernels/avx512/tiles.h"

namespace potluck::avx512 {
namespace {

// What both have: the scale of each row in front of the quants, and quants with an offset that is
// taken off through the sum of x.
template <uint32_t kPanelCount, int16_t kOffset>
struct ScaledBlock {
  static constexpr uint32_t kPanels = kPanelCount;
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;
  Float scale;
  Int quants[kBlockVectors];

  ScaledBlock(const std::byte* from, uint64_t stride) : scale(load_halves<kPanels>(from, stride)) {}

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

  // Flipping the sign bit adds 128: the quants become unsigned.
  Q8_0Block(const std::byte* from, uint64_t stride) : ScaledBlock<kPanels, -128>(from, stride) {
    constexpr auto kSigns = static_cast<int32_t>(0x80808080u);
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      this->quants[v] = load_vector<kPanels>(from + 16 + kVectorBytes * v, stride) ^ kSigns;
    }
  }
};

template <uint32_t kPanels>
struct Q4_0Block : ScaledBlock<kPanels, -8> {
  static constexpr uint32_t kBytes = 16 + 128;

  Q4_0Block(const std::byte* from, uint64_t stride) : ScaledBlock<kPanels, -8>(from, stride) {
    unpack_nibbles<kPanels>(from + 16, stride, this->quants);
  }
};

template <class Block, uint32_t... kBefore>
constexpr tiles::TileSet tile_set(std::integer_sequence<uint32_t, kBefore...>) {
  return {{tiles::block_tile<Block, kBefore + 1>...}};
}

template <template <uint32_t> class Block>
constexpr TileSets tile_sets() {
  return {tiles::two_tiles(tiles::block_tile<Block<1>, 1>, tiles::block_tile<Block<1>, 0>),
          tile_set<Block<2>>(Tokens{})};
}

}  // namespace

TileSets block32_tiles(TensorType type) {
  if (type == TensorType::kQ8_0) return tile_sets<Q8_0Block>();
  CHECK(type == TensorType::kQ4_0);
  return tile_sets<Q4_0Block>();
}

}  // namespace potluck::avx512
