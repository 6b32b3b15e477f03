// Formats of super-blocks of 256 with sub-scales: Q4_K, Q6_K. Integer sums are scaled by sub-scales
// as integers; they meet the float scales once per block of the activations.
#include "engine/base/check.h"
#include "engine/kernels/avx512/quant_vectors.h"
#include "engine/kernels/avx512/tiles.h"

namespace potluck::avx512 {
namespace {

// What all blocks have.
template <uint32_t kPanelCount>
struct BlockBase {
  static constexpr uint32_t kPanels = kPanelCount;
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;
  Int quants[kBlockVectors];

  static void store(Float acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

// Q4_K: 8 scales and 8 minimums of 6 bits per block and panel.
template <uint32_t kPanels>
struct Q4K {
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;

  struct Sums {
    Int scaled{};
    Int minimums{};
  };

  struct Head {
    static constexpr uint32_t kBytes = 32;
    Float d;
    Float dmin;
    Head(const std::byte* from, uint64_t stride)
        : d(load_halves<kPanels>(from, stride)), dmin(load_halves<kPanels>(from + 16, stride)) {}

    void finish(const Sums& sums, float dx, Float& acc) const {
      acc += (d * dx) * to_float<kPanels>(sums.scaled) -
             (dmin * dx) * to_float<kPanels>(sums.minimums);
    }
  };

  struct Block : BlockBase<kPanels> {
    static constexpr uint32_t kBytes = 16 + 128;
    Int scales;
    Int minimums;  // int16, each row's twice

    Block(const std::byte* from, uint64_t stride) {
      scales = load_unsigned<kPanels>(from, stride);
      minimums = load_unsigned<kPanels>(from + 8, stride) * 0x10001;
      unpack_nibbles<kPanels>(from + 16, stride, this->quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      sums.scaled += dot32<kPanels>(Int{}, this->quants, x) * scales;
      sums.minimums = dot_pairs(sums.minimums, minimums, broadcast4<kPanels>(x_sums));
    }
  };
};

// Q6_K: quants of 0..63 minus 32, an int8 scale for every 16 columns.
template <uint32_t kPanels>
struct Q6K {
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;

  struct Sums {
    Int scaled{};
  };

  struct Head {
    static constexpr uint32_t kBytes = 16;
    Float d;
    Head(const std::byte* from, uint64_t stride) : d(load_halves<kPanels>(from, stride)) {}

    void finish(const Sums& sums, float dx, Float& acc) const {
      acc += (d * dx) * to_float<kPanels>(sums.scaled);
    }
  };

  struct Block : BlockBase<kPanels> {
    static constexpr uint32_t kBytes = 16 + 128 + 64;
    Int scales[2];  // of columns 0-15 and 16-31
    Int offsets;    // -32 times both scales of a row: int16

    Block(const std::byte* from, uint64_t stride) {
      scales[0] = load_signed<kPanels>(from, stride);
      scales[1] = load_signed<kPanels>(from + 8, stride);
      offsets = ((scales[0] * -32) & 0xffff) | ((scales[1] * -32) << 16);
      unpack_nibbles<kPanels>(from + 16, stride, this->quants);
      for (uint32_t v = 0; v < 2; ++v) {
        Int pairs = load_vector<kPanels>(from + 16 + 128 + kVectorBytes * v, stride);
        Int* four = this->quants + 4 * v;
        four[0] |= (pairs << 4) & 0x30303030;
        four[1] |= (pairs << 2) & 0x30303030;
        four[2] |= pairs & 0x30303030;
        four[3] |= (pairs >> 2) & 0x30303030;
      }
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      Int first = dot16<kPanels>(Int{}, this->quants, x) * scales[0];
      Int second = dot16<kPanels>(Int{}, this->quants + 4, x + 16) * scales[1];
      Int rest = dot_pairs(sums.scaled, offsets, broadcast4<kPanels>(x_sums));
      sums.scaled = rest + (first + second);
    }
  };
};

template <class Format, uint32_t kBlocksPerScale, uint32_t... kBefore>
constexpr tiles::TileSet tile_set(std::integer_sequence<uint32_t, kBefore...>) {
  return {{tiles::super_block_tile<Format, kBlocksPerScale, kBefore + 1>...}};
}

template <template <uint32_t> class Format, uint32_t kBlocksPerScale>
constexpr TileSets tile_sets() {
  return {tiles::two_tiles(tiles::super_block_tile<Format<1>, kBlocksPerScale, 1>,
                           tiles::super_block_tile<Format<1>, kBlocksPerScale, 0>),
          tile_set<Format<2>, kBlocksPerScale>(Tokens{})};
}

}  // namespace

TileSets k_tiles(TensorType type, ActivationForm form) {
  bool large = form == ActivationForm::kQ8Block256;
  if (type == TensorType::kQ4_K) return large ? tile_sets<Q4K, 8>() : tile_sets<Q4K, 1>();
  CHECK(type == TensorType::kQ6_K);
  return large ? tile_sets<Q6K, 8>() : tile_sets<Q6K, 1>();
}

}  // namespace potluck::avx512
