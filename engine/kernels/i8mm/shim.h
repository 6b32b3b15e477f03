// NEON with the matrix products of FEAT_I8MM (Cortex-A510, A710, X2 and later) as the vector
// kernels see it: see panel_vectors.h. Like the dot products, but that two tokens are multiplied at
// once: an instruction takes 8 columns of two rows and of two tokens. Internal to engine/kernels;
// pure functions, any thread.
#pragma once

#include "engine/kernels/dotprod/shim.h"

namespace potluck::i8mm {
namespace {

using neon::Int;

// Sums of products of two tokens with columns 0-15 and 16-31: part i has rows 2i and 2i + 1, and of
// each the first token's and the second token's.
struct TwoTokens {
  using Parts = int32x4_t[4];
  Parts half[2];

  template <bool kSecond>
  struct OneToken {
    const TwoTokens& all;

    Int sum_of_16(uint32_t first) const { return token_of(all.half[first]); }
    // Both tokens' halves are added at once: the compiler sees that it is the same sum.
    Int sum_of_32() const {
      Parts sums;
      for (uint32_t i = 0; i < 4; ++i) sums[i] = vaddq_s32(all.half[0][i], all.half[1][i]);
      return token_of(sums);
    }

   private:
    static Int token_of(const Parts& parts) {
      if constexpr (kSecond) {
        return neon::ints(vuzp2q_s32(parts[0], parts[1]), vuzp2q_s32(parts[2], parts[3]));
      } else {
        return neon::ints(vuzp1q_s32(parts[0], parts[1]), vuzp1q_s32(parts[2], parts[3]));
      }
    }
  };
  OneToken<false> first() const { return {*this}; }
  OneToken<true> second() const { return {*this}; }
};

template <int kOffset>
struct MatrixQuants : dotprod::DotQuants<kOffset> {
  using dotprod::DotQuants<kOffset>::dot;
  using dotprod::DotQuants<kOffset>::dots;
  using dotprod::DotQuants<kOffset>::scaled;

  TwoTokens multiply(const int8_t* x, const int8_t* y) const {
    TwoTokens products;
#pragma GCC unroll 2
    for (uint32_t half = 0; half < 2; ++half) {
      int64x2_t of_x = vreinterpretq_s64_s8(vld1q_s8(x + 16 * half));
      int64x2_t of_y = vreinterpretq_s64_s8(vld1q_s8(y + 16 * half));
      int32x4_t(&parts)[4] = products.half[half];
      for (int32x4_t& part : parts) part = vdupq_n_s32(0);
      add_products(4 * half, vreinterpretq_s8_s64(vzip1q_s64(of_x, of_y)), parts);
      add_products(4 * half + 2, vreinterpretq_s8_s64(vzip2q_s64(of_x, of_y)), parts);
    }
    return products;
  }

  Int dot(const auto& products, [[maybe_unused]] const int16_t* sums, Int start = Int{}) const {
    if constexpr (kOffset != 0) start = start - kOffset * (sums[0] + sums[1]);
    return start + products.sum_of_32();
  }
  Int scaled(const auto& products, Int factor) const {
    return products.sum_of_32() * factor;
  }
  Int scaled(const auto& products, Int first, Int second) const {
    return products.sum_of_16(0) * first + products.sum_of_16(1) * second;
  }
  void dots(const auto& products, const int16_t* sums, Int (&two)[2]) const {
    for (uint32_t i = 0; i < 2; ++i) two[i] = products.sum_of_16(i) - kOffset * sums[i];
  }

 private:
  // Of 8 columns: vectors `first` and the one behind it, four columns each.
  void add_products(uint32_t first, int8x16_t tokens, int32x4_t parts[4]) const {
    Int four = this->vector[first];
    Int next = this->vector[first + 1];
    add_rows(neon::raw(four.low), neon::raw(next.low), tokens, parts);
    add_rows(neon::raw(four.high), neon::raw(next.high), tokens, parts + 2);
  }
  static void add_rows(int32x4_t four, int32x4_t next, int8x16_t tokens, int32x4_t parts[2]) {
    parts[0] = vmmlaq_s32(parts[0], vreinterpretq_s8_s32(vzip1q_s32(four, next)), tokens);
    parts[1] = vmmlaq_s32(parts[1], vreinterpretq_s8_s32(vzip2q_s32(four, next)), tokens);
  }
};

struct Panel : dotprod::Panel {
  using OnePanel = Panel;
  template <int kMost, int kOffset>
  using Quants = MatrixQuants<kOffset>;
  using SignedQuants = MatrixQuants<0>;
};

static_assert(tiles::OnePanelVectors<Panel>);

}  // namespace
}  // namespace potluck::i8mm
