#include "engine/kernels/avx512/shim.h"
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/formats/coded.h"

namespace potluck::avx512 {

std::span<const tiles::FormatTiles> coded_tiles() {
  return tiles::kCodedTiles<Panel, TwoPanels>;
}

}  // namespace potluck::avx512
