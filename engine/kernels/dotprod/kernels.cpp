#include "engine/kernels/dotprod/shim.h"
#include "engine/kernels/make_vector_kernels.h"

namespace potluck::dotprod {

constexpr VectorKernels kKernels = make_vector_kernels<Panel>("dotprod");

}  // namespace potluck::dotprod
