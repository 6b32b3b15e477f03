#include "engine/kernels/avx512/shim.h"
#include "engine/kernels/avx512/tiles.h"
#include "engine/kernels/formats/floats.h"

namespace potluck::avx512 {

std::span<const tiles::FormatTiles> float_tiles() {
  return tiles::kFloatTiles<Panel, TwoPanels>;
}

}  // namespace potluck::avx512
