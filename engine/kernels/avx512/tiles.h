// The AVX-512 tiles by format: two panels at a time for several tokens, one at a time for a single
// token, which is a matter of streaming. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <utility>

#include "engine/kernels/tiles.h"

namespace potluck::avx512 {

// Two panels have a tile for every number of tokens: with 32 registers, all accumulators can live
// in them.
using Tokens = std::make_integer_sequence<uint32_t, tiles::kTileTokens>;

struct TileSets {
  tiles::TileSet one_panel;
  tiles::TileSet two_panels;
};

TileSets block32_tiles(TensorType type);
TileSets k_tiles(TensorType type, ActivationForm form);  // all super-blocks
TileSets coded_tiles(TensorType type, ActivationForm form);

// Float weights, an even number of panels.
void float_matmul(const tiles::Product& product, uint32_t tokens, tiles::PanelRange range);

}  // namespace potluck::avx512
