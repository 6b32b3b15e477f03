#include "engine/kernels/activations.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

// A buffer that held floats and then quants must show the quants alone, and the other way round.
TEST(ActivationBuffer, ShowsOnlyTheFormItHolds) {
  ActivationBuffer buffer;
  buffer.reset(ActivationForm::kF32, 2, 64);
  EXPECT_NE(buffer.view().values, nullptr);
  EXPECT_EQ(buffer.view().quants, nullptr);
  buffer.reset(ActivationForm::kQ8Block32, 2, 64);
  EXPECT_EQ(buffer.view().values, nullptr);
  EXPECT_NE(buffer.view().quants, nullptr);
  buffer.reset(ActivationForm::kF32, 1, 64);
  EXPECT_NE(buffer.view().values, nullptr);
  EXPECT_EQ(buffer.view().scales, nullptr);
}

// The form decides which activations a product reads, not which pointers happen to be set.
TEST(ActivationBuffer, ProductsGoByTheForm) {
  std::vector<float> ones(32, 1.0F);
  PanelShape shape{TensorType::kQ8_0, 8, 32, 0};
  std::vector<std::byte> block(34 * 8, std::byte{1});  // every weight 1, scale half(0x0101)
  std::vector<std::byte> packed(shape.bytes());
  pack_panels(shape, block.data(), 32, 0, packed.data());
  ActivationBuffer buffer;
  buffer.reset(ActivationForm::kQ8Block32, 1, 32);
  std::ranges::fill(buffer.quants(), int8_t{2});
  std::ranges::fill(buffer.scales(), 1.0F);
  buffer.compute_sums();
  ActivationView view = buffer.view();
  view.values = ones.data();
  float expected = half_to_float(0x0101) * 64.0F;
  for (const KernelTable* table : available_kernels()) {
    std::vector<float> y(8);
    table->matmul({shape, packed.data()}, view, nullptr, 1, 0, 1, y.data(), 8);
    for (float value : y) EXPECT_EQ(value, expected) << table->name;
  }
}

}  // namespace
}  // namespace potluck
