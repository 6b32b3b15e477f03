// PanelVectors: what the tiles of formats/ need from an instruction set. One type per instruction
// set and number of panels has it all (avx2/shim.h, avx512/shim.h); a new one adds such a type, a
// file per family of formats that lists its tiles, and a row in select.cpp. These types live in
// unnamed namespaces, so that nothing made from them is shared between files that are compiled for
// different processors. Internal to engine/kernels; no state.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace potluck::tiles {

inline constexpr uint32_t kVectorBytes = 32;  // of one panel: 8 rows x 4 columns
inline constexpr uint32_t kBlockVectors = 8;  // of a block of 32 columns

// The eight vectors of a block, one 32-bit lane per row, and their product with activations: the
// sum over 32 columns, less the offset of the quants times the sum of x. `sums` are those of 16.
template <class Q, class V>
concept BlockQuants = requires(const Q& quants, Q& changed, const int8_t* x, const int16_t* sums) {
  changed.vector[kBlockVectors - 1] = typename V::Int{};
  { quants.dot(x, sums) } -> std::same_as<typename V::Int>;
};

// Quants with their sign: after they were loaded, as they are or with kSignedBias added.
template <class Q, class V>
concept SignedBlockQuants = BlockQuants<Q, V> && requires(Q& changed) {
  changed.finish_signed();
  changed.finish_biased();
};

// Vectors of kPanels neighboring panels, `stride` bytes apart: of each panel a load takes the same
// bytes, and each of its 8 rows is a lane. Int and Float are the compiler's vector types of int32
// and float, with their operators.
template <class V>
concept PanelVectors = requires(const std::byte* from, uint64_t stride, const int8_t* table,
                                float* y, uint32_t rows, typename V::Int integers,
                                typename V::Float floats) {
  { V::kPanels } -> std::convertible_to<uint32_t>;
  { V::kSignedBias } -> std::convertible_to<int>;
  // 32 bytes as they are; 8 values of f16, of bfloat16, of exponents of MXFP4.
  { V::load_vector(from, stride) } -> std::same_as<typename V::Int>;
  { V::load_halves(from, stride) } -> std::same_as<typename V::Float>;
  { V::load_bfloats(from, stride) } -> std::same_as<typename V::Float>;
  { V::load_exponents(from, stride) } -> std::same_as<typename V::Float>;
  // Entries of a table of 16 bytes, each plus a number, by bytes below 16.
  { V::template look_up<1>(table, integers) } -> std::same_as<typename V::Int>;
  { V::to_float(integers) } -> std::same_as<typename V::Float>;
  V::store_rows(floats, rows, y);  // the first `rows` lanes
  // Quants of at most 15, 24 and 31, and signed ones.
  requires BlockQuants<typename V::template Quants<15, 8>, V>;
  requires BlockQuants<typename V::template Quants<24, 12>, V>;
  requires BlockQuants<typename V::template Quants<31, 0>, V>;
  requires SignedBlockQuants<typename V::SignedQuants, V>;
};

}  // namespace potluck::tiles
