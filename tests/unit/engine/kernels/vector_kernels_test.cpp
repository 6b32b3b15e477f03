#include <gtest/gtest.h>

#include "engine/kernels/make_vector_kernels.h"
#include "engine/kernels/self_test.h"
#include "tests/unit/engine/kernels/narrow_shim.h"

namespace potluck {
namespace {

// All that an instruction set writes is a shim: one of 4 lanes in plain C++ has every format and
// function, with the bits of the scalar kernels.
TEST(VectorKernels, AShimOfFourLanesIsEnough) {
  constexpr VectorKernels kNarrow = make_vector_kernels<NarrowPanel>("narrow");
  for (const BlockFormat& format : block_formats()) {
    EXPECT_NE(tiles::find_tiles(kNarrow.tiles, format.type, format.activations), nullptr)
        << format.name;
  }
  std::vector<KernelDigest> expected = kernel_self_test(*select_kernels("scalar").value());
  std::vector<KernelDigest> digests = kernel_self_test(kNarrow.table);
  ASSERT_EQ(digests.size(), expected.size());
  for (size_t i = 0; i < digests.size(); ++i) {
    EXPECT_EQ(digests[i], expected[i]) << kernel_part_name(digests[i].part);
  }
}

}  // namespace
}  // namespace potluck
