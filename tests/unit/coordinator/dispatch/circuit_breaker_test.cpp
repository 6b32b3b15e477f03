#include "coordinator/dispatch/circuit_breaker.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(CircuitBreaker, OpensAtAFailureAndIsThenHalfOpenUntilASuccess) {
  CircuitBreaker breaker;
  EXPECT_EQ(breaker.state(seconds(5)), BreakerState::kClosed);
  breaker.fail(seconds(5));
  EXPECT_EQ(breaker.state(milliseconds(5999)), BreakerState::kOpen);
  EXPECT_EQ(breaker.state(seconds(6)), BreakerState::kHalfOpen);
  EXPECT_EQ(breaker.state(seconds(600)), BreakerState::kHalfOpen);
  breaker.succeed();
  EXPECT_EQ(breaker.state(seconds(600)), BreakerState::kClosed);
}

TEST(CircuitBreaker, PausesDoubleUpToAMinute) {
  CircuitBreaker breaker;
  TimePoint now = seconds(1);
  for (int64_t pause : {1, 2, 4, 8, 16, 32, 64, 64, 64}) {
    breaker.fail(now);
    EXPECT_EQ(breaker.state(now + seconds(pause) - Duration(1)), BreakerState::kOpen) << pause;
    now += seconds(pause);
    EXPECT_EQ(breaker.state(now), BreakerState::kHalfOpen) << pause;
  }
}

TEST(CircuitBreaker, WhatFailsTogetherIsOneFailure) {
  CircuitBreaker breaker;
  for (int i = 0; i < 9; ++i) breaker.fail(seconds(3));
  EXPECT_EQ(breaker.state(seconds(4)), BreakerState::kHalfOpen);
}

TEST(CircuitBreaker, APardonClosesItOnce) {
  CircuitBreaker breaker;
  breaker.fail(seconds(3));
  breaker.pardon();
  EXPECT_EQ(breaker.state(seconds(3)), BreakerState::kClosed);
  EXPECT_FALSE(breaker.untroubled());
  breaker.fail(seconds(3));
  EXPECT_EQ(breaker.state(milliseconds(4999)), BreakerState::kOpen) << "the second pause";
}

}  // namespace
}  // namespace potluck
