// The kernels of one instruction set: the tables, and the tiles behind its products. Made from the
// instruction set's vectors by make_vector_kernels(), in a file of its own that is compiled for the
// instruction set. Entered only after the processor was asked (select.cpp). Internal to
// engine/kernels; constants, any thread.
#pragma once

#include <vector>

#include "engine/kernels/state_kernels.h"
#include "engine/kernels/tile_table.h"

namespace potluck {

struct VectorKernels {
  KernelTable table;
  StateKernels states;
  tiles::TileFamilies tiles;
};

namespace sse41 {
extern const VectorKernels kKernels;
}  // namespace sse41
namespace avx2 {
extern const VectorKernels kKernels;
}  // namespace avx2
namespace avx512 {
extern const VectorKernels kKernels;
}  // namespace avx512
namespace neon {
extern const VectorKernels kKernels;
}  // namespace neon
namespace dotprod {
extern const VectorKernels kKernels;
}  // namespace dotprod
namespace i8mm {
extern const VectorKernels kKernels;
}  // namespace i8mm

// Those that this program has and this processor can run.
std::vector<const VectorKernels*> available_vector_kernels();

}  // namespace potluck
