#include "engine/kernels/avx512/shim.h"
#include "engine/kernels/make_vector_kernels.h"

namespace potluck::avx512 {

constexpr VectorKernels kKernels = make_vector_kernels<Panel, TwoPanels>("avx512");

}  // namespace potluck::avx512
