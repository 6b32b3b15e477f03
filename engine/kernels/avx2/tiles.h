// The AVX2 tiles by format: one panel at a time. One file per family of formats makes
// them; matmul.cpp puts them together. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/tile_table.h"

namespace potluck::avx2 {

std::span<const tiles::FormatTiles> block32_tiles();
std::span<const tiles::FormatTiles> k_tiles();
std::span<const tiles::FormatTiles> coded_tiles();
std::span<const tiles::FormatTiles> float_tiles();

tiles::TileFamilies tile_families();  // all of them

}  // namespace potluck::avx2
