// An instruction set of 4 lanes, in plain C++: what a shim is whose vectors are pairs of registers.
// Shows that the vector kernels ask for nothing that such an instruction set does not have. Slow.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/kernels/block_format.h"
#include "engine/kernels/panel_vectors.h"
#include "engine/kernels/register_pair.h"

namespace potluck {
namespace {

using tiles::RegisterPair;

struct NarrowPanel {
  using OnePanel = NarrowPanel;
  static constexpr uint32_t kPanels = 1;
  static constexpr uint32_t kRegisters = 8;
  static constexpr int kSignedBias = 0;
  using Int = RegisterPair<int32_t>;
  using Float = RegisterPair<float>;

  template <class T, class V>
  static auto parts(const V& vector) {
    return std::bit_cast<std::array<T, sizeof(V) / sizeof(T)>>(vector);
  }
  // Lane i is f(i); or with the number i of a T within the vector, part i is.
  template <class T, class F>
  static auto made(const F& f) {
    std::array<T, 32 / sizeof(T)> all;
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = static_cast<T>(f(i));
    using Vector = std::conditional_t<std::is_same_v<T, float>, Float, Int>;
    return std::bit_cast<Vector>(all);
  }
  template <class T>
  static auto loaded(const void* from) {
    std::array<T, 8> values;
    std::memcpy(values.data(), from, sizeof values);
    return values;
  }

  template <class Byte, int kOffset>
  struct PlainQuants {
    Int vector[tiles::kBlockVectors];

    void finish_signed() {}
    void finish_biased() {}
    Int dot(const int8_t* x, const int16_t* sums, Int start = Int{}) const {
      return start + sum_of(x, 0, 8) - kOffset * (sums[0] + sums[1]);
    }
    Int scaled(const int8_t* x, Int factor) const { return sum_of(x, 0, 8) * factor; }
    Int scaled(const int8_t* x, Int first, Int second) const {
      return sum_of(x, 0, 4) * first + sum_of(x, 4, 8) * second;
    }
    void dots(const int8_t* x, const int16_t* sums, Int (&two)[2]) const {
      for (uint32_t i = 0; i < 2; ++i) {
        two[i] = sum_of(x, 4 * i, 4 * i + 4) - Int{} - kOffset * sums[i];
      }
    }
    Int sum_of(const int8_t* x, uint32_t begin, uint32_t end) const {
      std::array<int32_t, 8> sums{};
      for (uint32_t v = begin; v < end; ++v) {
        auto bytes = parts<Byte>(vector[v]);
        for (uint32_t i = 0; i < 32; ++i) sums[i / 4] += bytes[i] * x[4 * v + i % 4];
      }
      return std::bit_cast<Int>(sums);
    }
  };
  template <int kMost, int kOffset>
  using Quants = PlainQuants<uint8_t, kOffset>;
  using SignedQuants = PlainQuants<int8_t, 0>;

  static Int load_vector(const std::byte* from, uint64_t) {
    return std::bit_cast<Int>(loaded<int32_t>(from));
  }
  static Float load_halves(const std::byte* from, uint64_t) {
    auto halves = loaded<uint16_t>(from);
    return made<float>([&](uint32_t i) { return half_to_float(halves[i]); });
  }
  static Float load_bfloats(const std::byte* from, uint64_t) {
    auto halves = loaded<uint16_t>(from);
    return as_float(made<int32_t>([&](uint32_t i) { return halves[i] << 16; }));
  }
  static Int load_unsigned(const std::byte* from, uint64_t) {
    auto bytes = loaded<uint8_t>(from);
    return made<int32_t>([&](uint32_t i) { return bytes[i]; });
  }
  static Int load_signed(const std::byte* from, uint64_t) {
    auto bytes = loaded<int8_t>(from);
    return made<int32_t>([&](uint32_t i) { return bytes[i]; });
  }

  static Float row_floats(const float* from) { return std::bit_cast<Float>(loaded<float>(from)); }
  static Float row_halves(const std::byte* from) { return load_halves(from, 0); }
  static Int row_signed(const std::byte* from) { return load_signed(from, 0); }
  static Float broadcast(const float* from) { return Float{} + *from; }
  static Float broadcast_half(const std::byte* from) {
    uint16_t half;
    std::memcpy(&half, from, sizeof half);
    return Float{} + half_to_float(half);
  }
  static void store_row(float* to, Float values) { std::memcpy(to, &values, sizeof values); }
  static void store_rows(Float values, uint32_t rows, float* y) {
    std::memcpy(y, &values, std::min(rows, 8u) * sizeof(float));
  }
  static Float load_first(const float* from, uint32_t count) {
    return made<float>([&](uint32_t i) { return i < count ? from[i] : 0; });
  }
  static Float keep_first(Float values, uint32_t count) {
    auto all = parts<float>(values);
    return load_first(all.data(), count);
  }
  static void add_rounded(Float values, int64_t* sums) {
    auto lanes = parts<float>(values);
    for (uint32_t i = 0; i < 8; ++i) sums[i] += std::llrint(lanes[i]);
  }

  static Float to_float(Int value) {
    auto lanes = parts<int32_t>(value);
    return made<float>([&](uint32_t i) { return static_cast<float>(lanes[i]); });
  }
  static Float as_float(Int value) { return std::bit_cast<Float>(value); }
  static Int as_int(Float value) { return std::bit_cast<Int>(value); }
  static Int round(Float value) {
    auto lanes = parts<float>(value);
    return made<int32_t>([&](uint32_t i) { return std::lrint(lanes[i]); });
  }
  template <class T, class V, class F>
  static V by_parts(V a, V b, const F& f) {
    auto x = parts<T>(a);
    auto y = parts<T>(b);
    return std::bit_cast<V>(made<T>([&](uint32_t i) { return f(x[i], y[i]); }));
  }
  static Int max(Int a, Int b) {
    return by_parts<int32_t>(a, b, [](int32_t x, int32_t y) { return std::max(x, y); });
  }
  static Float max(Float a, Float b) { return where_greater(a, b, a, b); }
  static Float min(Float a, Float b) { return where_greater(b, a, a, b); }
  static Float where_greater(Float a, Float b, Float yes, Float no) {
    auto x = parts<float>(a);
    auto y = parts<float>(b);
    auto chosen = parts<float>(yes);
    auto other = parts<float>(no);
    return made<float>([&](uint32_t i) { return x[i] > y[i] ? chosen[i] : other[i]; });
  }
  static int32_t largest_lane(Int values) {
    auto lanes = parts<int32_t>(values);
    return *std::max_element(lanes.begin(), lanes.end());
  }

  template <int kOffset>
  static Int look_up(const int8_t* table, Int numbers) {
    auto bytes = parts<uint8_t>(numbers);
    return made<int8_t>([&](uint32_t i) { return table[bytes[i]] + kOffset; });
  }
  static void entries_of_8(const int8_t (*grid)[8], auto indices, Int two[2]) {
    for (uint32_t i = 0; i < 2; ++i) {
      two[i] = made<int8_t>(
          [&](uint32_t b) { return grid[indices.at[b / 4 * indices.kStep]][4 * i + b % 4]; });
    }
  }
  static Int entries_of_4(const int8_t (*grid)[4], auto indices) {
    return made<int8_t>([&](uint32_t b) { return grid[indices.at[b / 4 * indices.kStep]][b % 4]; });
  }
  template <int kBit>
  static Int mirrored(Int bytes, Int bits, int sum) {
    return by_parts<uint8_t>(
        bytes, bits, [&](uint8_t x, uint8_t y) { return (y >> kBit & 1) != 0 ? sum - x : x; });
  }
  static Int load_triples(const std::byte* from) {
    return made<uint8_t>([&](uint32_t b) {
      return b % 4 == 0 ? 0 : std::to_integer<uint8_t>(from[b / 4 * 3 + b % 4 - 1]);
    });
  }
  static Int pair(Int low, Int high) { return (low & 0xffff) | (high << 16); }
  static Int factor(Int value) { return value; }
  static Int add_pairs(Int sum, Int pairs, const int16_t* two) {
    auto words = parts<int16_t>(pairs);
    return sum + made<int32_t>(
                     [&](uint32_t i) { return words[2 * i] * two[0] + words[2 * i + 1] * two[1]; });
  }
  static Int multiply_words(Int words, int number) {
    auto all = parts<uint16_t>(words);
    return made<uint16_t>([&](uint32_t i) { return all[i] * number; });
  }
  static Int add_bytes(Int a, Int b) {
    return by_parts<uint8_t>(a, b, [](uint8_t x, uint8_t y) { return x + y; });
  }
  static Int subtract_bytes(Int a, Int b) {
    return by_parts<uint8_t>(a, b, [](uint8_t x, uint8_t y) { return x - y; });
  }
  static Int greater_bytes(Int a, Int b) {
    return by_parts<int8_t>(a, b, [](int8_t x, int8_t y) { return x > y ? -1 : 0; });
  }
  static void store_quants(const Int values[4], int8_t* quants, int16_t* sums) {
    for (uint32_t v = 0; v < 4; ++v) {
      auto lanes = parts<int32_t>(values[v]);
      std::copy(lanes.begin(), lanes.end(), quants + 8 * v);
    }
    for (uint32_t i = 0; i < 2; ++i) {
      int sum = 0;
      for (uint32_t q = 0; q < 16; ++q) sum += quants[16 * i + q];
      sums[i] = static_cast<int16_t>(sum);
    }
  }
};

static_assert(tiles::OnePanelVectors<NarrowPanel>);

}  // namespace
}  // namespace potluck
