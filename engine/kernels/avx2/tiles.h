// The AVX2 tiles by format: one panel at a time. One file per family of formats makes them;
// matmul.cpp chooses among them. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/tiles.h"

namespace potluck::avx2 {

tiles::TileSet block32_tiles(TensorType type);
tiles::TileSet k_tiles(TensorType type, ActivationForm form);  // all super-blocks
tiles::TileSet coded_tiles(TensorType type, ActivationForm form);
void float_matmul(const tiles::Product& product, uint32_t tokens, tiles::PanelRange range);

}  // namespace potluck::avx2
