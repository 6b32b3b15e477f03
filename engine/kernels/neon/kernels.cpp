#include "engine/kernels/make_vector_kernels.h"
#include "engine/kernels/neon/shim.h"

namespace potluck::neon {

constexpr VectorKernels kKernels = make_vector_kernels<Panel>("neon");

}  // namespace potluck::neon
