// The AVX-512 tiles by format: two panels at a time for several tokens, one for a single
// token, which is a matter of streaming. One file per family of formats makes
// them; matmul.cpp puts them together. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <utility>

#include "engine/kernels/tile_table.h"

namespace potluck::avx512 {

// Two panels have a tile for every number of tokens: with 32 registers, all accumulators can live
// in them.
using Tokens = std::make_integer_sequence<uint32_t, tiles::kTileTokens>;

std::span<const tiles::FormatTiles> block32_tiles();
std::span<const tiles::FormatTiles> k_tiles();
std::span<const tiles::FormatTiles> coded_tiles();
std::span<const tiles::FormatTiles> float_tiles();

tiles::TileFamilies tile_families();  // all of them

}  // namespace potluck::avx512
