// The scale of the routed sums, at the edges of float32.
#include "engine/model/fixed_scale.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

constexpr float kInfiniteValue = std::numeric_limits<float>::infinity();
constexpr float kNanValue = std::numeric_limits<float>::quiet_NaN();

TEST(FixedScale, FindsTheLargestMagnitude) {
  EXPECT_EQ(largest_magnitude({}), 0.0F);
  for (size_t count = 1; count < 40; ++count) {
    for (size_t place = 0; place < count; ++place) {
      std::vector<float> values(count, 0.5F);
      values[place] = -3.0F;
      ASSERT_EQ(largest_magnitude(values), 3.0F);
      values[place] = -kInfiniteValue;
      ASSERT_EQ(largest_magnitude(values), kInfiniteValue);
      values[place] = -kNanValue;
      ASSERT_TRUE(std::isnan(largest_magnitude(values)));
    }
  }
}

TEST(FixedScale, CountsFractionBitsFromTheExponent) {
  EXPECT_EQ(fraction_bits_for(0.0F), 24);
  EXPECT_EQ(fraction_bits_for(1.0F), 24);
  EXPECT_EQ(fraction_bits_for(std::nextafter(2.0F, 0.0F)), 24);
  EXPECT_EQ(fraction_bits_for(2.0F), 23);
  EXPECT_EQ(fraction_bits_for(0.75F), 25);
  EXPECT_EQ(fraction_bits_for(std::numeric_limits<float>::max()), -103);
  EXPECT_EQ(fraction_bits_for(std::numeric_limits<float>::denorm_min()), 173);
  EXPECT_LE(173, kMaxFractionBits);
  EXPECT_GE(-103, kMinFractionBits);
}

TEST(FixedScaleDeathTest, WantsFiniteMagnitudes) {
  EXPECT_DEATH((void)fraction_bits_for(kInfiniteValue), "isfinite");
  EXPECT_DEATH((void)fraction_bits_for(kNanValue), "isfinite");
}

TEST(FixedScale, RoundsTheSumOnceThenAdds) {
  CounterRandom random(3);
  for (int32_t bits : {-103, -1, 0, 1, 24, 173}) {
    for (uint64_t i = 0; i < 200; ++i) {
      auto sum = static_cast<int64_t>(random.bits(i)) >> (i % 50);
      auto before = static_cast<float>(random.uniform(i, 1));
      float x = before;
      add_fixed_point({&sum, 1}, bits, 1, &x);
      auto addend = static_cast<float>(std::ldexp(static_cast<double>(sum), -bits));
      EXPECT_EQ(x, before + addend) << sum << " at " << bits;
      x = before;
      add_fixed_point({&sum, 1}, bits, 0.7F, &x);
      EXPECT_EQ(x, before + addend * 0.7F) << sum << " at " << bits;
    }
  }
}

}  // namespace
}  // namespace potluck
