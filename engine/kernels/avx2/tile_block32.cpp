#include "engine/kernels/avx2/shim.h"
#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/formats/block32.h"

namespace potluck::avx2 {

std::span<const tiles::FormatTiles> block32_tiles() {
  return tiles::kBlock32Tiles<Panel>;
}

}  // namespace potluck::avx2
