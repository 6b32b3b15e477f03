// NEON (Advanced SIMD) as every 64-bit ARM processor has it, as the vector kernels see it: see
// panel_vectors.h. A vector of one panel is a pair of registers. There is no product of bytes that
// adds up in 32 bits: products are added in 16 bits as long as they fit, which depends on the
// largest quant. Serves the dot-product instructions as well, for all that is no product.
// Everything lives in an unnamed namespace: see avx2/shim.h. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <arm_neon.h>

#include "engine/kernels/panel_vectors.h"
#include "engine/kernels/register_pair.h"

namespace potluck::neon {
namespace {

using Int = tiles::RegisterPair<int32_t>;
using Float = tiles::RegisterPair<float>;

inline int8x16_t bytes(Int::Register lanes) {
  return reinterpret_cast<int8x16_t>(lanes);
}
inline int16x8_t words(Int::Register lanes) {
  return reinterpret_cast<int16x8_t>(lanes);
}
inline int32x4_t raw(Int::Register lanes) {
  return reinterpret_cast<int32x4_t>(lanes);
}
inline float32x4_t raw(Float::Register lanes) {
  return reinterpret_cast<float32x4_t>(lanes);
}

// A pair from any two registers of as many bits.
template <class Register>
inline Int ints(Register low, Register high) {
  return {reinterpret_cast<Int::Register>(low), reinterpret_cast<Int::Register>(high)};
}
template <class Register>
inline Float floats(Register low, Register high) {
  return {reinterpret_cast<Float::Register>(low), reinterpret_cast<Float::Register>(high)};
}

// Four bytes of activations, in every row.
inline int8x16_t broadcast4(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

// Sums of products in 16 bits: rows 2i and 2i + 1 with four columns each.
struct WordSums {
  int16x8_t rows[4];

  void set(Int quants, int8x16_t x) {
    rows[0] = vmull_s8(vget_low_s8(bytes(quants.low)), vget_low_s8(x));
    rows[1] = vmull_high_s8(bytes(quants.low), x);
    rows[2] = vmull_s8(vget_low_s8(bytes(quants.high)), vget_low_s8(x));
    rows[3] = vmull_high_s8(bytes(quants.high), x);
  }
  void add(Int quants, int8x16_t x) {
    rows[0] = vmlal_s8(rows[0], vget_low_s8(bytes(quants.low)), vget_low_s8(x));
    rows[1] = vmlal_high_s8(rows[1], bytes(quants.low), x);
    rows[2] = vmlal_s8(rows[2], vget_low_s8(bytes(quants.high)), vget_low_s8(x));
    rows[3] = vmlal_high_s8(rows[3], bytes(quants.high), x);
  }
};

// Quants of a magnitude of at most kMost, which stand for themselves less kOffset. Their products
// with activations are at most 127 * kMost: the activations are none of -128, which quantizers do
// not give and the protocol refuses.
template <int kMost, int kOffset>
struct ByteQuants {
  static_assert(kMost <= 128);
  Int vector[tiles::kBlockVectors];

  void finish_signed() {}
  void finish_biased() {}

  Int dot(const int8_t* x, [[maybe_unused]] const int16_t* sums, Int start = Int{}) const {
    Int sum = start + sum_of<8>(0, x);
    if constexpr (kOffset != 0) sum = sum - kOffset * (sums[0] + sums[1]);
    return sum;
  }
  Int scaled(const int8_t* x, Int factor) const { return sum_of<8>(0, x) * factor; }
  Int scaled(const int8_t* x, Int first, Int second) const {
    return sum_of<4>(0, x) * first + sum_of<4>(4, x + 16) * second;
  }
  void dots(const int8_t* x, const int16_t* sums, Int (&two)[2]) const {
    two[0] = sum_of<4>(0, x) - kOffset * sums[0];
    two[1] = sum_of<4>(4, x + 16) - kOffset * sums[1];
  }

 private:
  static constexpr int kWord = 32767;
  // So many vectors can be added in 16 bits.
  static constexpr uint32_t kFit = kWord / (127 * kMost) >= 8   ? 8
                                   : kWord / (127 * kMost) >= 4 ? 4
                                                                : 2;

  template <uint32_t kVectors>
  Int sum_of(uint32_t first, const int8_t* x) const {
    constexpr uint32_t kTogether = kFit < kVectors ? kFit : kVectors;
    if constexpr (2 * kVectors * kMost * 127 <= kWord) {
      // Even two columns' sums together.
      WordSums sums = products<kVectors>(first, x);
      return ints(vpaddlq_s16(vpaddq_s16(sums.rows[0], sums.rows[1])),
                  vpaddlq_s16(vpaddq_s16(sums.rows[2], sums.rows[3])));
    } else {
      int32x4_t rows[4];
      WordSums sums = products<kTogether>(first, x);
#pragma GCC unroll 4
      for (uint32_t i = 0; i < 4; ++i) rows[i] = vpaddlq_s16(sums.rows[i]);
#pragma GCC unroll 4
      for (uint32_t v = kTogether; v < kVectors; v += kTogether) {
        sums = products<kTogether>(first + v, x + 4 * v);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < 4; ++i) rows[i] = vpadalq_s16(rows[i], sums.rows[i]);
      }
      return ints(vpaddq_s32(rows[0], rows[1]), vpaddq_s32(rows[2], rows[3]));
    }
  }
  template <uint32_t kCount>
  WordSums products(uint32_t first, const int8_t* x) const {
    WordSums sums;
    sums.set(vector[first], broadcast4(x));
#pragma GCC unroll 8
    for (uint32_t v = 1; v < kCount; ++v) sums.add(vector[first + v], broadcast4(x + 4 * v));
    return sums;
  }
};

struct Panel : tiles::PairOfFloats {
  using OnePanel = Panel;
  static constexpr uint32_t kPanels = 1;
  static constexpr uint32_t kRegisters = 16;  // pairs
  static constexpr int kSignedBias = 0;
  using Int = neon::Int;
  using Float = neon::Float;
  template <int kMost, int kOffset>
  using Quants = ByteQuants<kMost, kOffset>;
  using SignedQuants = ByteQuants<128, 0>;

  static Int load_vector(const std::byte* from, uint64_t) {
    const auto* all = reinterpret_cast<const int8_t*>(from);
    return ints(vld1q_s8(all), vld1q_s8(all + 16));
  }
  static Float load_halves(const std::byte* from, uint64_t) {
    float16x8_t halves = vreinterpretq_f16_u8(load16(from));
    return floats(vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves));
  }
  static Float load_bfloats(const std::byte* from, uint64_t) {
    uint16x8_t upper = vreinterpretq_u16_u8(load16(from));
    return floats(vshll_n_u16(vget_low_u16(upper), 16), vshll_high_n_u16(upper, 16));
  }
  static Int load_unsigned(const std::byte* from, uint64_t) {
    uint16x8_t all = vmovl_u8(vld1_u8(reinterpret_cast<const uint8_t*>(from)));
    return ints(vmovl_u16(vget_low_u16(all)), vmovl_high_u16(all));
  }
  static Int load_signed(const std::byte* from, uint64_t) {
    int16x8_t all = vmovl_s8(vld1_s8(reinterpret_cast<const int8_t*>(from)));
    return ints(vmovl_s16(vget_low_s16(all)), vmovl_high_s16(all));
  }

  static Float row_halves(const std::byte* from) { return load_halves(from, 0); }
  static Int row_signed(const std::byte* from) { return load_signed(from, 0); }
  static Float broadcast_half(const std::byte* from) {
    uint16_t half;
    __builtin_memcpy(&half, from, sizeof half);
    float32x4_t value = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half)));
    return floats(value, value);
  }

  static void add_rounded(Float values, int64_t* sums) {
    auto add = [](float64x2_t two, int64_t* to) {
      vst1q_s64(to, vaddq_s64(vld1q_s64(to), vcvtnq_s64_f64(two)));
    };
    float32x4_t low = raw(values.low);
    float32x4_t high = raw(values.high);
    add(vcvt_f64_f32(vget_low_f32(low)), sums);
    add(vcvt_high_f64_f32(low), sums + 2);
    add(vcvt_f64_f32(vget_low_f32(high)), sums + 4);
    add(vcvt_high_f64_f32(high), sums + 6);
  }

  static Float to_float(Int value) {
    return floats(vcvtq_f32_s32(raw(value.low)), vcvtq_f32_s32(raw(value.high)));
  }
  static Float as_float(Int value) { return floats(value.low, value.high); }
  static Int as_int(Float value) { return ints(value.low, value.high); }
  static Int round(Float value) {
    return ints(vcvtnq_s32_f32(raw(value.low)), vcvtnq_s32_f32(raw(value.high)));
  }
  static Int max(Int a, Int b) {
    return ints(vmaxq_s32(raw(a.low), raw(b.low)), vmaxq_s32(raw(a.high), raw(b.high)));
  }
  // Not NEON's own, which give a NaN if either is one.
  static Float max(Float a, Float b) { return where_greater(a, b, a, b); }
  static Float min(Float a, Float b) { return where_greater(b, a, a, b); }
  static int32_t largest_lane(Int values) {
    return vmaxvq_s32(vmaxq_s32(raw(values.low), raw(values.high)));
  }

  template <int kOffset>
  static Int look_up(const int8_t* table, Int numbers) {
    int8x16_t entries = vaddq_s8(vld1q_s8(table), vdupq_n_s8(static_cast<int8_t>(kOffset)));
    return ints(vqtbl1q_s8(entries, vreinterpretq_u8_s8(bytes(numbers.low))),
                vqtbl1q_s8(entries, vreinterpretq_u8_s8(bytes(numbers.high))));
  }
  static void entries_of_8(const int8_t (*grid)[8], auto indices, Int two[2]) {
    auto row = [&](uint32_t r) { return vld1_s8(grid[indices.at[r * indices.kStep]]); };
    int32x4_t pairs[4];
    for (uint32_t i = 0; i < 4; ++i) {
      pairs[i] = vreinterpretq_s32_s8(vcombine_s8(row(2 * i), row(2 * i + 1)));
    }
    two[0] = ints(vuzp1q_s32(pairs[0], pairs[1]), vuzp1q_s32(pairs[2], pairs[3]));
    two[1] = ints(vuzp2q_s32(pairs[0], pairs[1]), vuzp2q_s32(pairs[2], pairs[3]));
  }
  static Int entries_of_4(const int8_t (*grid)[4], auto indices) {
    int32_t rows[8];
    for (uint32_t r = 0; r < 8; ++r) {
      __builtin_memcpy(rows + r, grid[indices.at[r * indices.kStep]], sizeof rows[r]);
    }
    int32x4_t low = {rows[0], rows[1], rows[2], rows[3]};
    int32x4_t high = {rows[4], rows[5], rows[6], rows[7]};
    return ints(low, high);
  }
  template <int kBit>
  static Int mirrored(Int all, Int bits, int sum) {
    int8x16_t place = vdupq_n_s8(static_cast<int8_t>(1 << kBit));
    int8x16_t sums = vdupq_n_s8(static_cast<int8_t>(sum));
    auto half = [&](Int::Register values, Int::Register signs) {
      uint8x16_t chosen = vtstq_s8(bytes(signs), place);
      return vbslq_s8(chosen, vsubq_s8(sums, bytes(values)), bytes(values));
    };
    return ints(half(all.low, bits.low), half(all.high, bits.high));
  }
  // A number beyond the register's gives a zero.
  static Int load_triples(const std::byte* from) {
    constexpr uint8_t kLow[16] = {99, 0, 1, 2, 99, 3, 4, 5, 99, 6, 7, 8, 99, 9, 10, 11};
    constexpr uint8_t kHigh[16] = {99, 4, 5, 6, 99, 7, 8, 9, 99, 10, 11, 12, 99, 13, 14, 15};
    return ints(vqtbl1q_u8(load16(from), vld1q_u8(kLow)),
                vqtbl1q_u8(load16(from + 8), vld1q_u8(kHigh)));
  }

  // The first numbers of all rows in one register, the second ones in the other: so they are
  // multiplied by one number each.
  static Int pair(Int low, Int high) {
    return ints(vuzp1q_s16(words(low.low), words(low.high)),
                vuzp1q_s16(words(high.low), words(high.high)));
  }
  static Int factor(Int value) { return value; }
  static Int add_pairs(Int sum, Int pairs, const int16_t* two) {
    int16x8_t first = words(pairs.low);
    int16x8_t second = words(pairs.high);
    int32x4_t low = vmlal_n_s16(raw(sum.low), vget_low_s16(first), two[0]);
    int32x4_t high = vmlal_high_n_s16(raw(sum.high), first, two[0]);
    return ints(vmlal_n_s16(low, vget_low_s16(second), two[1]),
                vmlal_high_n_s16(high, second, two[1]));
  }
  static Int multiply_words(Int all, int number) {
    auto factor = static_cast<int16_t>(number);
    return ints(vmulq_n_s16(words(all.low), factor), vmulq_n_s16(words(all.high), factor));
  }
  static Int add_bytes(Int a, Int b) {
    return ints(vaddq_s8(bytes(a.low), bytes(b.low)), vaddq_s8(bytes(a.high), bytes(b.high)));
  }
  static Int subtract_bytes(Int a, Int b) {
    return ints(vsubq_s8(bytes(a.low), bytes(b.low)), vsubq_s8(bytes(a.high), bytes(b.high)));
  }
  static Int greater_bytes(Int a, Int b) {
    return ints(vcgtq_s8(bytes(a.low), bytes(b.low)), vcgtq_s8(bytes(a.high), bytes(b.high)));
  }

  static void store_quants(const Int values[4], int8_t* quants, int16_t* sums) {
    for (uint32_t i = 0; i < 2; ++i) {
      const Int* two = values + 2 * i;
      int16x8_t first = vuzp1q_s16(words(two[0].low), words(two[0].high));
      int16x8_t second = vuzp1q_s16(words(two[1].low), words(two[1].high));
      int8x16_t packed = vuzp1q_s8(vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second));
      vst1q_s8(quants + 16 * i, packed);
      sums[i] = vaddlvq_s8(packed);
    }
  }

 private:
  static uint8x16_t load16(const std::byte* from) {
    return vld1q_u8(reinterpret_cast<const uint8_t*>(from));
  }
};

static_assert(tiles::OnePanelVectors<Panel>);

}  // namespace
}  // namespace potluck::neon
