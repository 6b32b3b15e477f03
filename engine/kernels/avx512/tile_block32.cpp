#include "engine/kernels/avx512/shim.h"
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/formats/block32.h"

namespace potluck::avx512 {

std::span<const tiles::FormatTiles> block32_tiles() {
  return tiles::kBlock32Tiles<Panel, TwoPanels>;
}

}  // namespace potluck::avx512
