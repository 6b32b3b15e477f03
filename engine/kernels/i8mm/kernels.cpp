#include "engine/kernels/i8mm/shim.h"
#include "engine/kernels/make_vector_kernels.h"

namespace potluck::i8mm {

constexpr VectorKernels kKernels = make_vector_kernels<Panel>("i8mm");

}  // namespace potluck::i8mm
