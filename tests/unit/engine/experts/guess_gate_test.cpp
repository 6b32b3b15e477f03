#include "engine/experts/guess_gate.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(GuessGate, IsOpenUntilALayerIsJudged) {
  GuessGate gate;
  for (uint32_t i = 0; i + 1 < GuessGate::kSample; ++i) gate.wasted(3);
  EXPECT_TRUE(gate.open(3));
  gate.wasted(3);
  EXPECT_FALSE(gate.open(3));
  EXPECT_TRUE(gate.open(2));
  EXPECT_TRUE(gate.open(1000));
}

TEST(GuessGate, StaysOpenWhileGuessesAreUsed) {
  GuessGate gate;
  for (uint32_t i = 0; i < 20 * GuessGate::kSample; ++i) {
    if (i % 2 == 0) {
      gate.used(0);
    } else {
      gate.wasted(0);
    }
    ASSERT_TRUE(gate.open(0)) << i;
  }
}

TEST(GuessGate, TriesAgainAfterARest) {
  GuessGate gate;
  for (uint32_t i = 0; i < GuessGate::kSample; ++i) gate.wasted(1);
  for (uint32_t i = 0; i < GuessGate::kRest; ++i) {
    ASSERT_FALSE(gate.open(1));
    gate.begin_wave(0);  // of another layer
    gate.begin_wave(1);
  }
  EXPECT_TRUE(gate.open(1));
  // Judged anew, not by what was before.
  for (uint32_t i = 0; i < GuessGate::kSample; ++i) gate.used(1);
  EXPECT_TRUE(gate.open(1));
}

TEST(GuessGate, FollowsATextThatChanges) {
  GuessGate gate;
  for (uint32_t i = 0; i < 100 * GuessGate::kSample; ++i) gate.used(0);
  uint32_t until_closed = 0;
  while (gate.open(0) && until_closed < 10 * GuessGate::kSample) {
    gate.wasted(0);
    ++until_closed;
  }
  EXPECT_LT(until_closed, 4 * GuessGate::kSample);
}

}  // namespace
}  // namespace potluck
