// PanelVectors: what the tiles and loops of the vector kernels need from an instruction set, and
// the only thing that an instruction set writes (avx2/shim.h, neon/shim.h, ...). What is made from
// it is in formats/, attention_tiles.h and row_functions.h.
//
// Int and Float hold a 32-bit lane for each row of a panel: 8, or 16 for two panels side by side.
// They need not be one register. An instruction set with 4 lanes makes them a pair of registers
// with the same operators (register_pair.h); nothing here takes a lane out, casts a vector or names
// its size.
//
// The types live in unnamed namespaces, so that nothing made from them is shared between files that
// are compiled for different processors. Internal to engine/kernels; no state.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace potluck::tiles {

inline constexpr uint32_t kVectorBytes = 32;  // of one panel: 8 rows x 4 columns
inline constexpr uint32_t kBlockVectors = 8;  // of a block of 32 columns

// The eight vectors of a block and their products with 32 activations. dot: `start` plus the sum of
// the products, less the offset of the quants times the sum of x (`sums` are those of 16 columns).
// scaled: the sum of the products without the offset, times a factor of each row for all columns or
// for columns 0-15 and 16-31; factors come from V::factor(). Quants may also multiply two tokens at
// once (tiles.h, MultipliesTwoTokens).
template <class Q, class V>
concept BlockQuants = requires(const Q& quants, Q& changed, const int8_t* x, const int16_t* sums,
                               typename V::Int start, typename V::Int factor) {
  changed.vector[kBlockVectors - 1] = start;
  { quants.dot(x, sums, start) } -> std::same_as<typename V::Int>;
  { quants.scaled(x, factor) } -> std::same_as<typename V::Int>;
  { quants.scaled(x, factor, factor) } -> std::same_as<typename V::Int>;
};

// The two sums of 16 columns by themselves, each less the offset times the sum of x.
template <class Q, class V>
concept QuantsInHalves = BlockQuants<Q, V> &&
    requires(const Q& quants, const int8_t* x, const int16_t* sums, typename V::Int (&two)[2]) {
  quants.dots(x, sums, two);
};

// Quants with their sign: after they were loaded, as they are or with kSignedBias added. scaled()
// multiplies them with the bias.
template <class Q, class V>
concept SignedBlockQuants = BlockQuants<Q, V> && requires(Q& changed) {
  changed.finish_signed();
  changed.finish_biased();
};

// Of two vectors or of a vector and a number; shifts by a number, those to the right keep the sign.
// Int wraps around.
template <class Int, class Float>
concept LaneOperators = std::default_initializable<Int> && std::default_initializable<Float> &&
    requires(Int a, Float x, int32_t number, float value) {
  a += (a + a - a * number) & number;
  a = (a ^ a) | ((a & a) + number - number);
  a = (a << 1) >> 1;
  a |= a ^ number;
  x += (x * x - x) * value + value;
  x = -x / x - value;
};

// Vectors of kPanels neighboring panels, `stride` bytes apart: of each panel a load takes the same
// bytes, and each of its 8 rows is a lane.
template <class V>
concept PanelLoads = requires(const std::byte* from, uint64_t stride) {
  // 32 bytes as they are; 8 values of f16, of bfloat16; 8 bytes without and with sign.
  { V::load_vector(from, stride) } -> std::same_as<typename V::Int>;
  { V::load_halves(from, stride) } -> std::same_as<typename V::Float>;
  { V::load_bfloats(from, stride) } -> std::same_as<typename V::Float>;
  { V::load_unsigned(from, stride) } -> std::same_as<typename V::Int>;
  { V::load_signed(from, stride) } -> std::same_as<typename V::Int>;
};

// Vectors of numbers that follow each other in memory.
template <class V>
concept RowLoads = requires(const std::byte* from, const float* floats, float* to,
                            typename V::Float values) {
  { V::row_floats(floats) } -> std::same_as<typename V::Float>;
  { V::row_halves(from) } -> std::same_as<typename V::Float>;
  { V::row_signed(from) } -> std::same_as<typename V::Int>;
  { V::broadcast(floats) } -> std::same_as<typename V::Float>;
  { V::broadcast_half(from) } -> std::same_as<typename V::Float>;
  V::store_row(to, values);
};

// Steps on lanes that operators do not say.
template <class V>
concept LaneSteps = requires(typename V::Int a, typename V::Float x, const int8_t* table,
                             const int16_t* sums, uint32_t rows, float* y) {
  { V::to_float(a) } -> std::same_as<typename V::Float>;
  { V::as_float(a) } -> std::same_as<typename V::Float>;  // the same bits
  { V::max(a, a) } -> std::same_as<typename V::Int>;
  // Entries of a table of 16 bytes, each plus a number, by bytes below 16.
  { V::template look_up<1>(table, a) } -> std::same_as<typename V::Int>;
  // The low int16 of each lane of two vectors, in an order of the instruction set's own; one lane
  // as BlockQuants::scaled() wants it; a + b * c of such pairs (two sums of activations are the
  // same for all rows); each int16 times a number.
  { V::pair(a, a) } -> std::same_as<typename V::Int>;
  { V::factor(a) } -> std::same_as<typename V::Int>;
  { V::add_pairs(a, a, sums) } -> std::same_as<typename V::Int>;
  { V::multiply_words(a, 1) } -> std::same_as<typename V::Int>;
  V::store_rows(x, rows, y);  // the first `rows` lanes
};

template <class V>
concept PanelVectors = LaneOperators<typename V::Int, typename V::Float> && PanelLoads<V> &&
    RowLoads<V> && LaneSteps<V> && requires {
  { V::kPanels } -> std::convertible_to<uint32_t>;
  { V::kSignedBias } -> std::convertible_to<int>;
  { V::kRegisters } -> std::convertible_to<uint32_t>;  // so many vectors of floats fit registers
  // Quants of at most 3 to 63, and signed ones.
  requires BlockQuants<typename V::template Quants<3, 1>, V>;
  requires BlockQuants<typename V::template Quants<15, 8>, V>;
  requires QuantsInHalves<typename V::template Quants<24, 12>, V>;
  requires BlockQuants<typename V::template Quants<31, 0>, V>;
  requires BlockQuants<typename V::template Quants<63, 0>, V>;
  requires SignedBlockQuants<typename V::SignedQuants, V>;
};

// Where the numbers of the entries of 8 rows stand: that of row r at at[r * kStep].
template <class Index, uint32_t kDistance>
struct Indices {
  static constexpr uint32_t kStep = kDistance;
  const Index* at;
};

// What expanding codes takes.
template <class V>
concept CodeSteps = requires(typename V::Int a, typename V::Int* two, const std::byte* from,
                             const int8_t (*eights)[8], const int8_t (*fours)[4],
                             Indices<uint8_t, 4> bytes, Indices<uint16_t, 2> words) {
  // Sums and differences of bytes; all ones where the first is greater, as numbers with sign.
  { V::add_bytes(a, a) } -> std::same_as<typename V::Int>;
  { V::subtract_bytes(a, a) } -> std::same_as<typename V::Int>;
  { V::greater_bytes(a, a) } -> std::same_as<typename V::Int>;
  // A number less each byte where bit 3 of the byte in the second vector is set, else the byte.
  { V::template mirrored<3>(a, a, 1) } -> std::same_as<typename V::Int>;
  // 24 bytes, three of each row: in the upper bytes of its lane, above a zero.
  { V::load_triples(from) } -> std::same_as<typename V::Int>;
  // The entry of each row: its first and its last four bytes; its four bytes.
  V::entries_of_8(eights, bytes, two);
  V::entries_of_8(eights, words, two);
  { V::entries_of_4(fours, bytes) } -> std::same_as<typename V::Int>;
  { V::entries_of_4(fours, words) } -> std::same_as<typename V::Int>;
};

// Vectors of one panel can do more: expand codes and work on rows of floats.
template <class V>
concept OnePanelVectors = PanelVectors<V> && CodeSteps<V> && V::kPanels == 1 &&
                          requires(typename V::Int a, typename V::Float x,
                                   const typename V::Int* four, const float* floats, uint32_t count,
                                   int8_t* quants, int16_t* sums, int64_t* long_sums) {
  // Floats: the same bits; to integers, to nearest even; where a > b one value, else (and with a
  // NaN) the other; the smaller and the larger, the second one if either is a NaN.
  { V::as_int(x) } -> std::same_as<typename V::Int>;
  { V::round(x) } -> std::same_as<typename V::Int>;
  { V::where_greater(x, x, x, x) } -> std::same_as<typename V::Float>;
  { V::min(x, x) } -> std::same_as<typename V::Float>;
  { V::max(x, x) } -> std::same_as<typename V::Float>;
  // The first `count` lanes, fewer than 8, and zeros: from memory, of a vector.
  { V::load_first(floats, count) } -> std::same_as<typename V::Float>;
  { V::keep_first(x, count) } -> std::same_as<typename V::Float>;
  { V::largest_lane(a) } -> std::same_as<int32_t>;
  // 32 integers that fit int8, in four vectors, and their two sums of 16.
  V::store_quants(four, quants, sums);
  // sums += values, each rounded to the nearest even integer; their magnitude is below 2^51.
  V::add_rounded(x, long_sums);
};

// What the tiles are made for: vectors of one panel, and of two or void. Those of two name their
// vectors of one as V::OnePanel and put two of them together with V::join().
template <class V>
concept TwoPanelVectors = requires {
  requires std::same_as<V, void> || PanelVectors<V>;
};

}  // namespace potluck::tiles
