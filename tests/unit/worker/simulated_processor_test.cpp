#include "worker/simulated_processor.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;

TEST(SimulatedProcessor, StretchesWhatWasMeasured) {
  EXPECT_EQ(SimulatedProcessor(3).busy(milliseconds(4), 100), milliseconds(12));
  EXPECT_EQ(SimulatedProcessor(1).busy(milliseconds(5), 1), milliseconds(5));
  EXPECT_EQ(SimulatedProcessor(2).busy(milliseconds(-5), 1), Duration::zero());
}

TEST(SimulatedProcessor, CallsMayCostATimeEach) {
  EXPECT_EQ(SimulatedProcessor(1, milliseconds(2)).busy(Duration::zero(), 7), milliseconds(14));
  EXPECT_EQ(SimulatedProcessor(10, milliseconds(2)).busy(milliseconds(1), 7), milliseconds(24));
}

}  // namespace
}  // namespace potluck
