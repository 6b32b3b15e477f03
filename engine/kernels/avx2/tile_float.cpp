#include "engine/kernels/avx2/shim.h"
#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/formats/floats.h"

namespace potluck::avx2 {

std::span<const tiles::FormatTiles> float_tiles() {
  return tiles::kFloatTiles<Panel>;
}

}  // namespace potluck::avx2
