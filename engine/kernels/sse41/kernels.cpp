#include "engine/kernels/make_vector_kernels.h"
#include "engine/kernels/sse41/shim.h"

namespace potluck::sse41 {

constexpr VectorKernels kKernels = make_vector_kernels<Panel>("sse41");

}  // namespace potluck::sse41
