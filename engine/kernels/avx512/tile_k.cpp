#include "engine/kernels/avx512/shim.h"
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/formats/k_quants.h"

namespace potluck::avx512 {

std::span<const tiles::FormatTiles> k_tiles() {
  return tiles::kKTiles<Panel, TwoPanels>;
}

}  // namespace potluck::avx512
