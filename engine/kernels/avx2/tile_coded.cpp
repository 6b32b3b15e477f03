#include "engine/kernels/avx2/shim.h"
#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/formats/coded.h"

namespace potluck::avx2 {

std::span<const tiles::FormatTiles> coded_tiles() {
  return tiles::kCodedTiles<Panel>;
}

}  // namespace potluck::avx2
