// Super-blocks whose quants stand in planes of bits: Q2_K to Q6_K, IQ4_XS, TQ2_0.
#include "engine/kernels/avx512/super_blocks.h"
#include "engine/kernels/codebooks.h"

namespace potluck::avx512 {
namespace {

// Q2_K: for every 16 columns 4 bits of scale and 4 of minimum.
template <uint32_t kPanels>
struct Q2K {
  using Int = avx512::Int<kPanels>;
  using Sums = MinimumSums<kPanels>;
  using Head = MinimumHead<kPanels>;

  struct Block : BlockBase<kPanels> {
    static constexpr uint32_t kBytes = 16 + 64;
    Int scales[2];  // of columns 0-15 and 16-31
    Int minimums;   // int16: of both of a row

    Block(const std::byte* from, uint64_t stride) {
      Int low = load_unsigned<kPanels>(from, stride);
      Int high = load_unsigned<kPanels>(from + 8, stride);
      scales[0] = low & 15;
      scales[1] = high & 15;
      minimums = (low >> 4) | (high >> 4) << 16;
      unpack_pairs<kPanels>(from + 16, stride, this->quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      sums.scaled += dot16<kPanels>(Int{}, this->quants, x) * scales[0] +
                     dot16<kPanels>(Int{}, this->quants + 4, x + 16) * scales[1];
      sums.minimums = dot_pairs(sums.minimums, minimums, broadcast4<kPanels>(x_sums));
    }
  };
};

// What Q4_K and Q5_K share: 8 scales and 8 minimums of 6 bits per block and panel, and nibbles.
template <uint32_t kPanels>
struct ScaleAndMinimumBlock : BlockBase<kPanels> {
  using Int = avx512::Int<kPanels>;
  Int scales;
  Int minimums;  // int16, each row's twice

  ScaleAndMinimumBlock(const std::byte* from, uint64_t stride) {
    scales = load_unsigned<kPanels>(from, stride);
    minimums = load_unsigned<kPanels>(from + 8, stride) * 0x10001;
    unpack_nibbles<kPanels>(from + 16, stride, this->quants);
  }

  void add(const int8_t* x, const int16_t* x_sums, MinimumSums<kPanels>& sums) const {
    sums.scaled += dot32<kPanels>(Int{}, this->quants, x) * scales;
    sums.minimums = dot_pairs(sums.minimums, minimums, broadcast4<kPanels>(x_sums));
  }
};

template <uint32_t kPanels>
struct Q4K {
  using Sums = MinimumSums<kPanels>;
  using Head = MinimumHead<kPanels>;

  struct Block : ScaleAndMinimumBlock<kPanels> {
    static constexpr uint32_t kBytes = 16 + 128;

    using ScaleAndMinimumBlock<kPanels>::ScaleAndMinimumBlock;
  };
};

template <uint32_t kPanels>
struct Q5K {
  using Sums = MinimumSums<kPanels>;
  using Head = MinimumHead<kPanels>;

  struct Block : ScaleAndMinimumBlock<kPanels> {
    static constexpr uint32_t kBytes = 16 + 160;

    Block(const std::byte* from, uint64_t stride) : ScaleAndMinimumBlock<kPanels>(from, stride) {
      add_bits<4, kPanels>(from + 16 + 128, stride, this->quants);
    }
  };
};

template <uint32_t kPanels>
struct Q3K {
  using Sums = ScaledSums<kPanels>;
  using Head = ScaleHead<kPanels, 1>;

  struct Block : TwoScaleBlock<kPanels, 4> {
    static constexpr uint32_t kBytes = 16 + 96;

    Block(const std::byte* from, uint64_t stride) {
      this->take_scales(load_signed<kPanels>(from, stride), load_signed<kPanels>(from + 8, stride));
      unpack_pairs<kPanels>(from + 16, stride, this->quants);
      add_bits<2, kPanels>(from + 16 + 64, stride, this->quants);
    }
  };
};

template <uint32_t kPanels>
struct Q6K {
  using Int = avx512::Int<kPanels>;
  using Sums = ScaledSums<kPanels>;
  using Head = ScaleHead<kPanels, 1>;

  struct Block : TwoScaleBlock<kPanels, 32> {
    static constexpr uint32_t kBytes = 16 + 128 + 64;

    Block(const std::byte* from, uint64_t stride) {
      this->take_scales(load_signed<kPanels>(from, stride), load_signed<kPanels>(from + 8, stride));
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
  };
};

// IQ4_XS: a signed scale for 32 columns; quants stand for signed bytes.
template <uint32_t kPanels>
struct Iq4Xs {
  using Int = avx512::Int<kPanels>;
  using Sums = ScaledSums<kPanels>;
  using Head = ScaleHead<kPanels, 1>;

  struct Block : BlockBase<kPanels> {
    static constexpr uint32_t kBytes = 8 + 128;
    Int scales;
    Int offsets;  // -128 times the scale of a row, twice: int16

    Block(const std::byte* from, uint64_t stride) {
      scales = load_signed<kPanels>(from, stride);
      Int offset = scales * -128;
      offsets = (offset & 0xffff) | (offset << 16);
      unpack_nibbles<kPanels>(from + 8, stride, this->quants);
      look_up<128, kPanels>(codebooks::kIq4, this->quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      Int rest = dot_pairs(sums.scaled, offsets, broadcast4<kPanels>(x_sums));
      sums.scaled = rest + dot32<kPanels>(Int{}, this->quants, x) * scales;
    }
  };
};

// TQ2_0: quants of 0..2 minus 1, no scales.
template <uint32_t kPanels>
struct Tq2 {
  using Int = avx512::Int<kPanels>;
  using Sums = ScaledSums<kPanels>;
  using Head = ScaleHead<kPanels, 1>;

  struct Block : BlockBase<kPanels> {
    static constexpr uint32_t kBytes = 64;

    Block(const std::byte* from, uint64_t stride) {
      unpack_pairs<kPanels>(from, stride, this->quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      Int rest = dot_pairs(sums.scaled, broadcast<kPanels>(-1), broadcast4<kPanels>(x_sums));
      sums.scaled = dot32<kPanels>(rest, this->quants, x);
    }
  };
};

constexpr tiles::FormatTiles kTiles[] = {
    row<Q2K, 8>(TensorType::kQ2_K),     row<Q2K, 1>(TensorType::kQ2_K),
    row<Q3K, 8>(TensorType::kQ3_K),     row<Q3K, 1>(TensorType::kQ3_K),
    row<Q4K, 8>(TensorType::kQ4_K),     row<Q4K, 1>(TensorType::kQ4_K),
    row<Q5K, 8>(TensorType::kQ5_K),     row<Q5K, 1>(TensorType::kQ5_K),
    row<Q6K, 8>(TensorType::kQ6_K),     row<Q6K, 1>(TensorType::kQ6_K),
    row<Iq4Xs, 8>(TensorType::kIQ4_XS), row<Iq4Xs, 1>(TensorType::kIQ4_XS),
    row<Tq2, 8>(TensorType::kTQ2_0),    row<Tq2, 1>(TensorType::kTQ2_0),
};

}  // namespace

std::span<const tiles::FormatTiles> k_tiles() {
  return kTiles;
}

}  // namespace potluck::avx512
