// The loops that the vector kernels share. A tile is the product of one or more neighboring panels
// with a few tokens: weights are unpacked once and meet every token. What differs by processor and
// format (how to unpack, multiply and scale one block) comes as a template argument; those types
// live in unnamed namespaces, so that no instantiation is shared between files that are compiled
// for different processors. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/kernels/matmul_rows.h"

namespace potluck::tiles {

inline constexpr uint32_t kTileTokens = 8;
inline constexpr uint32_t kBlockColumns = 32;

// Blocks under one head: of a format's super-block, mostly 256 columns.
template <class Format>
inline constexpr uint32_t kBlocksUnderHead = 8;
template <class Format>
requires requires {
  Format::kBlocksPerHead;
}
inline constexpr uint32_t kBlocksUnderHead<Format> = Format::kBlocksPerHead;

// How far ahead of the arithmetic weights are asked for. Hardware stops looking ahead at the end of
// a 4 KiB page; without this a core gets three quarters of the memory's rate.
inline constexpr uint32_t kPrefetchAhead = 8192;

// The panels of a tile, `stride` bytes apart, and the tokens they meet.
struct Input {
  PanelShape shape;
  const std::byte* panel;
  uint64_t stride;
  const TokenRow* x;
  uint32_t tokens;  // at most kTileTokens
};

// Where y of the tile's first row and token goes. `rows` are those that the matrix has.
struct Output {
  float* y;
  uint64_t y_stride;
  uint32_t rows;
};

using Tile = void (*)(const Input& in, const Output& out);

// Asks for as many bytes as the tile is about to use. One panel is one stream, asked for a little
// further on. Panels side by side are one stream too, in memory: the next tile's panels are asked
// for in that order, which main memory serves faster than several streams at a time.
template <uint32_t kBytes, uint32_t kPanels>
static inline void prefetch_block(const Input& in, const std::byte* block) {
  if constexpr (kPanels == 1) {
    for (uint32_t line = 0; line < kBytes; line += 64) {
      __builtin_prefetch(block + kPrefetchAhead + line);
    }
  } else {
    const std::byte* to = in.panel + kPanels * (in.stride + (block - in.panel));
    for (uint32_t line = 0; line < kPanels * kBytes; line += 64) {
      __builtin_prefetch(to + line, 0, 2);  // to the second level: a tile is larger than the first
    }
  }
}

// For tiles whose columns are short: the same, where the next tile fits a second-level cache beside
// this one. Wider tiles ask for a line of each of their own panels, and near their end for the
// panels that follow.
template <uint32_t kPanels>
static inline void prefetch_columns(const Input& in, const std::byte* column) {
  constexpr uint64_t kLargestTile = 256 * 1024;
  const uint64_t at = column - in.panel;
  const uint64_t tile = kPanels * in.stride;
  if (tile <= kLargestTile) {
    const std::byte* to = in.panel + kPanels * at + std::max<uint64_t>(tile, kPrefetchAhead);
#pragma GCC unroll 8
    for (uint32_t line = 0; line < kPanels; ++line) __builtin_prefetch(to + line * 64, 0, 2);
    return;
  }
  constexpr uint64_t kAhead = kPrefetchAhead / kPanels;
  const std::byte* to = column + kAhead;
  if (at + kAhead >= in.stride) to += (kPanels - 1) * in.stride;
#pragma GCC unroll 8
  for (uint32_t p = 0; p < kPanels; ++p) __builtin_prefetch(to + p * in.stride);
}

// Calls body(t) for t in [0, tokens): unrolled where the number is known, so that accumulators can
// live in registers. kTokens 0 means: as many as `tokens` says.
template <uint32_t kTokens, class Body>
static inline __attribute__((always_inline)) void for_tokens(uint32_t tokens, const Body& body) {
  if constexpr (kTokens == 0) {
    for (uint32_t t = 0; t < tokens; ++t) body(t);
  } else {
#pragma GCC unroll 8
    for (uint32_t t = 0; t < kTokens; ++t) body(t);
  }
}

// Whether a block can multiply two tokens at once: then add() takes what first() and second() of
// quants.multiply(x, y) are in place of the quants x or y of a token.
template <class Block>
concept MultipliesTwoTokens = requires(const Block& block, const int8_t* x) {
  block.quants.multiply(x, x).first();
  block.quants.multiply(x, x).second();
};

// Calls body(t, x) for the tokens that meet block number `block`; x is what w.add() takes.
template <uint32_t kTokens, class Block, class Body>
static inline __attribute__((always_inline)) void for_products(const Block& w, const Input& in,
                                                               uint32_t block, const Body& body) {
  auto quants = [&](uint32_t t) { return in.x[t].quants + kBlockColumns * block; };
  if constexpr (kTokens == 0 && MultipliesTwoTokens<Block>) {
    uint32_t t = 0;
    for (; t + 2 <= in.tokens; t += 2) {
      auto products = w.quants.multiply(quants(t), quants(t + 1));
      body(t, products.first());
      body(t + 1, products.second());
    }
    if (t < in.tokens) body(t, quants(t));
  } else {
    for_tokens<kTokens>(in.tokens, [&](uint32_t t) { body(t, quants(t)); });
  }
}

// One store each. For `= {}` GCC takes rep stos, which costs a tile of few columns a tenth of its
// time.
template <class T, size_t kCount>
static inline __attribute__((always_inline)) void clear(T (&values)[kCount]) {
#pragma GCC unroll 8
  for (T& value : values) value = T{};
}

// What the loops below ask of every block or column: panels side by side, bytes of one panel, the
// vector in which outputs are summed.
template <class T>
concept PanelPart = requires {
  typename T::Float;
  { T::kPanels } -> std::convertible_to<uint32_t>;
  { T::kBytes } -> std::convertible_to<uint32_t>;
};

// Formats whose block of 32 columns has its own scale. A block is made from its bytes (and the
// distance to the next panel's) and adds its product with one token to an accumulator.
template <class T>
concept Block32Tile = PanelPart<T> && std::constructible_from<T, const std::byte*, uint64_t> &&
    requires(const T& block, const int8_t* x, const int16_t* sums, float dx, uint32_t rows,
             float* y, typename T::Float& acc) {
  block.add(x, sums, dx, acc);
  T::store(acc, rows, y);
};

template <Block32Tile Block, uint32_t kTokens>
static void block_tile(const Input& in, const Output& out) {
  typename Block::Float acc[kTokens != 0 ? kTokens : kTileTokens];
  clear(acc);
  const TokenRow* x = in.x;
  const uint32_t blocks = (in.shape.columns + kBlockColumns - 1) / kBlockColumns;
  for (uint32_t block = 0; block < blocks; ++block) {
    const std::byte* from = in.panel + uint64_t{block} * Block::kBytes;
    prefetch_block<Block::kBytes, Block::kPanels>(in, from);
    Block w(from, in.stride);
    for_products<kTokens>(w, in, block, [&](uint32_t t, const auto& quants) {
      w.add(quants, x[t].sums + 2 * block, x[t].scales[block], acc[t]);
    });
  }
  for_tokens<kTokens>(
      in.tokens, [&](uint32_t t) { Block::store(acc[t], out.rows, out.y + t * out.y_stride); });
}

// A format of super-blocks may look at all blocks under a head before the first one is made: then
// Format::Ahead is made from the first one's bytes and their number, and a block from its bytes,
// this and its number.
template <class Format>
concept LooksAhead = requires {
  typename Format::Ahead;
};
template <class Format>
concept MakesBlocks = LooksAhead<Format> ||
    std::constructible_from<typename Format::Block, const std::byte*, uint64_t>;
struct NothingAhead {};
template <class Format>
[[gnu::always_inline]] static inline auto look_ahead([[maybe_unused]] const std::byte* from,
                                                     [[maybe_unused]] uint64_t stride,
                                                     [[maybe_unused]] uint32_t blocks) {
  if constexpr (LooksAhead<Format>) {
    return typename Format::Ahead(from, stride, blocks);
  } else {
    return NothingAhead{};
  }
}
template <class Format>
[[gnu::always_inline]] static inline typename Format::Block make_block(
    const std::byte* from, uint64_t stride, [[maybe_unused]] const auto& ahead,
    [[maybe_unused]] uint32_t number) {
  if constexpr (LooksAhead<Format>) {
    return typename Format::Block(from, stride, ahead, number);
  } else {
    return typename Format::Block(from, stride);
  }
}

// Formats of super-blocks. Format::Block adds its integer product with one token to Format::Sums;
// Format::Head scales those once per kBlocksPerScale blocks of the activations (8 or 1).
template <class T>
concept SuperBlockTile = PanelPart<typename T::Block> &&
    std::default_initializable<typename T::Sums> && MakesBlocks<T> &&
    std::constructible_from<typename T::Head, const std::byte*, uint64_t> &&
    requires(const typename T::Block& block, const typename T::Head& head, typename T::Sums& sums,
             const int8_t* x, const int16_t* x_sums, float dx, uint32_t rows, float* y,
             typename T::Block::Float& acc) {
  { T::Head::kBytes } -> std::convertible_to<uint32_t>;
  block.add(x, x_sums, sums);
  head.finish(sums, dx, acc);
  T::Block::store(acc, rows, y);
};

// Sums that a block may begin anew. With a single token the products of a block would otherwise
// wait for those of the block before it.
template <class Sums>
concept AddsSums = requires(Sums& sums, const Sums& more) {
  sums.add(more);
};

template <SuperBlockTile Format, uint32_t kBlocksPerScale, uint32_t kTokens>
static void super_block_tile(const Input& in, const Output& out) {
  using Block = typename Format::Block;
  constexpr uint32_t kMostTokens = kTokens != 0 ? kTokens : kTileTokens;
  constexpr uint32_t kGroup = kBlocksUnderHead<Format>;
  typename Block::Float acc[kMostTokens];
  clear(acc);
  const TokenRow* x = in.x;
  const std::byte* from = in.panel;
  const uint32_t blocks = (in.shape.columns + kBlockColumns - 1) / kBlockColumns;
  uint32_t block = 0;
  while (block < blocks) {
    // The blocks under one head are fewer where the matrix begins or ends.
    uint32_t place = (in.shape.phase / kBlockColumns + block) % kGroup;
    uint32_t end = std::min(block + kGroup - place, blocks);
    typename Format::Head head(from, in.stride);
    from += Format::Head::kBytes;
    const uint32_t first = block;
    [[maybe_unused]] const auto ahead = look_ahead<Format>(from, in.stride, end - first);
    [[maybe_unused]] typename Format::Sums sums[kMostTokens];
    if constexpr (kBlocksPerScale != 1) clear(sums);
    for (; block < end; ++block) {
      prefetch_block<Block::kBytes, Block::kPanels>(in, from);
      const Block w = make_block<Format>(from, in.stride, ahead, block - first);
      from += Block::kBytes;
      for_products<kTokens>(w, in, block, [&](uint32_t t, const auto& quants) {
        const int16_t* x_sums = x[t].sums + 2 * block;
        if constexpr (kBlocksPerScale == 1) {
          typename Format::Sums sum{};
          w.add(quants, x_sums, sum);
          head.finish(sum, x[t].scales[block], acc[t]);
        } else if constexpr (kTokens == 1 && AddsSums<typename Format::Sums>) {
          typename Format::Sums sum{};
          w.add(quants, x_sums, sum);
          sums[t].add(sum);
        } else {
          w.add(quants, x_sums, sums[t]);
        }
      });
    }
    if constexpr (kBlocksPerScale != 1) {
      for_tokens<kTokens>(in.tokens, [&](uint32_t t) {
        head.finish(sums[t], x[t].scales[(block - 1) / kBlocksPerScale], acc[t]);
      });
    }
  }
  for_tokens<kTokens>(
      in.tokens, [&](uint32_t t) { Block::store(acc[t], out.rows, out.y + t * out.y_stride); });
}

// Float weights: every column is one product and one addition per row, so a single accumulator
// would wait for the adder. kGroups groups of Format::kPanels panels and kTokens tokens keep the
// adders busy. The inner loops are unrolled by order: only then do accumulators live in registers.
template <class T>
concept FloatTile = PanelPart<T> &&
    requires(const std::byte* from, uint64_t stride, float x, uint32_t rows, float* y,
             typename T::Float weights, typename T::Float& acc) {
  weights = T::load(from, stride);
  T::add(weights, x, acc);
  T::store(acc, rows, y);
};

template <FloatTile Format, uint32_t kGroups, uint32_t kTokens>
static void float_tile(const Input& in, const Output& out) {
  constexpr uint32_t kColumnsPerLine = 64 / Format::kBytes;
  constexpr uint32_t kPanels = kGroups * Format::kPanels;
  const uint64_t group = in.stride * Format::kPanels;
  const uint32_t columns = in.shape.columns;
  const std::byte* w = in.panel;
  const float* x[kTokens];
  for (uint32_t t = 0; t < kTokens; ++t) x[t] = in.x[t].values;
  typename Format::Float acc[kTokens][kGroups] = {};
  for (uint32_t column = 0; column < columns; ++column) {
    if (kTokens <= 2 && column % kColumnsPerLine == 0) prefetch_columns<kPanels>(in, w);
    typename Format::Float weights[kGroups];
#pragma GCC unroll 8
    for (uint32_t g = 0; g < kGroups; ++g) weights[g] = Format::load(w + g * group, in.stride);
    w += Format::kBytes;
#pragma GCC unroll 8
    for (uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 8
      for (uint32_t g = 0; g < kGroups; ++g) Format::add(weights[g], x[t][column], acc[t][g]);
    }
  }
#pragma GCC unroll 8
  for (uint32_t g = 0; g < kGroups; ++g) {
    uint32_t first = g * Format::kPanels * kPanelRows;
#pragma GCC unroll 8
    for (uint32_t t = 0; t < kTokens; ++t) {
      Format::store(acc[t][g], out.rows - first, out.y + t * out.y_stride + first);
    }
  }
}

// A product as matmul was asked for it.
struct Product {
  Product(const PanelMatrix& w, const ActivationView& activations, const uint32_t* rows, float* to,
          uint64_t to_stride)
      : shape(w.shape),
        panels(w.data),
        stride(w.shape.panel_bytes()),
        x(activations, rows),
        y(to),
        y_stride(to_stride) {}

  PanelShape shape;
  const std::byte* panels;
  uint64_t stride;
  TokenRows x;
  float* y;
  uint64_t y_stride;
};

struct PanelRange {
  uint32_t begin;
  uint32_t end;
};

// Runs a tile of kPanels on the panels of a range, which are a multiple of kPanels, with the
// `tokens` tokens from `token` on.
template <uint32_t kPanels>
static void run_panels(Tile tile, const Product& product, PanelRange range, uint32_t token,
                       uint32_t tokens) {
  TokenRow x[kTileTokens];
  for (uint32_t t = 0; t < tokens; ++t) x[t] = product.x[token + t];
  for (uint32_t panel = range.begin; panel < range.end; panel += kPanels) {
    uint64_t first = uint64_t{panel} * kPanelRows;
    tile({product.shape, product.panels + panel * product.stride, product.stride, x, tokens},
         {product.y + token * product.y_stride + first, product.y_stride,
          static_cast<uint32_t>(product.shape.rows - first)});
  }
}

// Calls body(range) for neighboring ranges of panels, each about as large as a first-level cache,
// so that all tokens meet the panels while they are there. A range has at least kPanels, and a
// multiple of them if the whole does.
template <uint32_t kPanels, class Body>
static void for_panel_ranges(const Product& product, PanelRange whole, const Body& body) {
  constexpr uint64_t kCacheBytes = 32768;
  uint64_t groups =
      std::max(kCacheBytes / (kPanels * std::max(product.stride, uint64_t{1})), uint64_t{1});
  auto step = static_cast<uint32_t>(groups * kPanels);
  for (uint32_t begin = whole.begin; begin < whole.end; begin += step) {
    body(PanelRange{begin, std::min(begin + step, whole.end)});
  }
}

// The tiles of a quantized product by number of tokens: tile[n - 1] takes n.
struct TileSet {
  Tile tile[kTileTokens];
};

// Super-blocks share a scale of the activations eight by eight in their own form, and have one each
// in blocks of 32.
constexpr ActivationForm form_of(uint32_t blocks_per_scale) {
  return blocks_per_scale == 1 ? ActivationForm::kQ8Block32 : ActivationForm::kQ8Block256;
}

// A set of two: one tile made for a single token, one that takes any number.
constexpr TileSet two_tiles(Tile one, Tile any) {
  return {{one, any, any, any, any, any, any, any}};
}

// A set with a tile for each number of tokens, which tile<n>() returns.
template <class TileOf, uint32_t... kBefore>
constexpr TileSet tile_set(const TileOf& tile, std::integer_sequence<uint32_t, kBefore...>) {
  return {{tile.template operator()<kBefore + 1>()...}};
}
template <class TileOf>
constexpr TileSet tile_set(const TileOf& tile) {
  return tile_set(tile, std::make_integer_sequence<uint32_t, kTileTokens>{});
}

// The panels of a range are a multiple of kPanels.
template <uint32_t kPanels>
static void run_quantized(const TileSet& set, const Product& product, uint32_t tokens,
                          PanelRange whole) {
  for_panel_ranges<kPanels>(product, whole, [&](PanelRange range) {
    for (uint32_t token = 0; token < tokens; token += kTileTokens) {
      uint32_t count = std::min(tokens - token, kTileTokens);
      run_panels<kPanels>(set.tile[count - 1], product, range, token, count);
    }
  });
}

// One shape of float tiles over panels, then the rest one group at a time.
template <FloatTile Format, uint32_t kGroups, uint32_t kTokens>
static void float_panels(const Product& product, PanelRange range, uint32_t token) {
  constexpr uint32_t kPanels = kGroups * Format::kPanels;
  uint32_t middle = range.end - (range.end - range.begin) % kPanels;
  run_panels<kPanels>(float_tile<Format, kGroups, kTokens>, product, {range.begin, middle}, token,
                      kTokens);
  run_panels<Format::kPanels>(float_tile<Format, 1, kTokens>, product, {middle, range.end}, token,
                              kTokens);
}

// The panels of a range are a multiple of Format::kPanels. A single token is about the memory's
// rate, and memory serves one panel after the other best. That is the way to go while the adder
// keeps up: with values of 4 bytes, and with narrow panels, of which the next can begin before one
// is done.
template <FloatTile Format>
static void run_float(const Product& product, uint32_t tokens, PanelRange whole) {
  constexpr uint32_t kNarrow = 128;
  const bool one_stream = Format::kBytes == 32 || product.shape.columns <= kNarrow;
  for_panel_ranges<8>(product, whole, [&](PanelRange range) {
    uint32_t token = 0;
    for (; token + 4 <= tokens; token += 4) float_panels<Format, 2, 4>(product, range, token);
    uint32_t rest = tokens - token;
    if (rest == 3) float_panels<Format, 2, 3>(product, range, token);
    if (rest == 2) float_panels<Format, 4, 2>(product, range, token);
    if (rest == 1 && one_stream) float_panels<Format, 1, 1>(product, range, token);
    if (rest == 1 && !one_stream) float_panels<Format, 8, 1>(product, range, token);
  });
}

}  // namespace potluck::tiles
