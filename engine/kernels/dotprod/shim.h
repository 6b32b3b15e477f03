// NEON with the dot-product instructions (ARMv8.2 and later, FEAT_DotProd) as the vector kernels
// see it: see panel_vectors.h. Like NEON but for products of bytes, of which four add up in 32
// bits, with four activations that are the same for all rows: no quant needs an offset or a limit.
// Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/neon/shim.h"

namespace potluck::dotprod {
namespace {

// Quants that stand for themselves less kOffset.
template <int kOffset>
struct DotQuants {
  using Int = neon::Int;
  Int vector[tiles::kBlockVectors];

  void finish_signed() {}
  void finish_biased() {}

  Int dot(const int8_t* x, [[maybe_unused]] const int16_t* sums, Int start = Int{}) const {
    if constexpr (kOffset != 0) start = start - kOffset * (sums[0] + sums[1]);
    // Two chains for each register, so that one product need not wait for the one before it.
    return sum_of_16(0, x, start) + sum_of_16(4, x + 16, Int{});
  }
  Int scaled(const int8_t* x, Int factor) const {
    return (sum_of_16(0, x, Int{}) + sum_of_16(4, x + 16, Int{})) * factor;
  }
  Int scaled(const int8_t* x, Int first, Int second) const {
    return sum_of_16(0, x, Int{}) * first + sum_of_16(4, x + 16, Int{}) * second;
  }
  void dots(const int8_t* x, const int16_t* sums, Int (&two)[2]) const {
    two[0] = sum_of_16(0, x, Int{} - kOffset * sums[0]);
    two[1] = sum_of_16(4, x + 16, Int{} - kOffset * sums[1]);
  }

 private:
  Int sum_of_16(uint32_t first, const int8_t* x, Int sum) const {
    int8x16_t columns = vld1q_s8(x);
    sum = add_products<0>(sum, vector[first], columns);
    sum = add_products<1>(sum, vector[first + 1], columns);
    sum = add_products<2>(sum, vector[first + 2], columns);
    return add_products<3>(sum, vector[first + 3], columns);
  }
  template <int kFour>
  static Int add_products(Int sum, Int quants, int8x16_t columns) {
    return neon::ints(
        vdotq_laneq_s32(neon::raw(sum.low), neon::bytes(quants.low), columns, kFour),
        vdotq_laneq_s32(neon::raw(sum.high), neon::bytes(quants.high), columns, kFour));
  }
};

struct Panel : neon::Panel {
  using OnePanel = Panel;
  template <int kMost, int kOffset>
  using Quants = DotQuants<kOffset>;
  using SignedQuants = DotQuants<0>;
};

static_assert(tiles::OnePanelVectors<Panel>);

}  // namespace
}  // namespace potluck::dotprod
