#include "engine/kernels/avx2/shim.h"
#include "engine/kernels/avx2/tiles.h"
#include "engine/kernels/formats/k_quants.h"

namespace potluck::avx2 {

std::span<const tiles::FormatTiles> k_tiles() {
  return tiles::kKTiles<Panel>;
}

}  // namespace potluck::avx2
