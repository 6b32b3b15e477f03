#include "engine/kernels/avx2/shim.h"
#include "engine/kernels/make_vector_kernels.h"

namespace potluck::avx2 {

constexpr VectorKernels kKernels = make_vector_kernels<Panel>("avx2");

}  // namespace potluck::avx2
