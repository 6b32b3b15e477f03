#include "engine/experts/prefetch_gate.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(PrefetchGate, IsOpenUntilALayerIsJudged) {
  PrefetchGate gate;
  for (uint32_t i = 0; i + 1 < PrefetchGate::kSample; ++i) gate.wasted(3);
  EXPECT_TRUE(gate.open(3));
  gate.wasted(3);
  EXPECT_FALSE(gate.open(3));
  EXPECT_TRUE(gate.open(2));
  EXPECT_TRUE(gate.open(1000));
}

TEST(PrefetchGate, StaysOpenWhilePrefetchesAreUsed) {
  PrefetchGate gate;
  for (uint32_t i = 0; i < 20 * PrefetchGate::kSample; ++i) {
    if (i % 2 == 0) {
      gate.used(0);
    } else {
      gate.wasted(0);
    }
    ASSERT_TRUE(gate.open(0)) << i;
  }
}

TEST(PrefetchGate, TriesAgainAfterARest) {
  PrefetchGate gate;
  for (uint32_t i = 0; i < PrefetchGate::kSample; ++i) gate.wasted(1);
  for (uint32_t i = 0; i < PrefetchGate::kRest; ++i) {
    ASSERT_FALSE(gate.open(1));
    gate.begin_wave(0);  // of another layer
    gate.begin_wave(1);
  }
  EXPECT_TRUE(gate.open(1));
  // Judged anew, not by what was before.
  for (uint32_t i = 0; i < PrefetchGate::kSample; ++i) gate.used(1);
  EXPECT_TRUE(gate.open(1));
}

TEST(PrefetchGate, FollowsATextThatChanges) {
  PrefetchGate gate;
  for (uint32_t i = 0; i < 100 * PrefetchGate::kSample; ++i) gate.used(0);
  uint32_t until_closed = 0;
  while (gate.open(0) && until_closed < 10 * PrefetchGate::kSample) {
    gate.wasted(0);
    ++until_closed;
  }
  EXPECT_LT(until_closed, 4 * PrefetchGate::kSample);
}

}  // namespace
}  // namespace potluck
