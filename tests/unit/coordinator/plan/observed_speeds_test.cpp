#include "coordinator/plan/observed_speeds.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::microseconds;

PeerKey key(uint8_t number) {
  PeerKey key;
  key.bytes.fill(number);
  return key;
}

ObservedSpeeds::Answer answer(Duration took, Duration busy, uint64_t wire = 4096) {
  return {1, 1'000'000, wire, took, busy, busy};
}

TEST(ObservedSpeeds, NothingIsKnownAtFirst) {
  ObservedSpeeds speeds;
  EXPECT_EQ(speeds.of(key(1)).rate, 0);
  speeds.record(key(1), answer(microseconds(1500), microseconds(1000)));
  EXPECT_EQ(speeds.of(key(1)).rate, 0) << "one answer says little";
  EXPECT_EQ(speeds.of(key(1)).round_trip, 0);
}

TEST(ObservedSpeeds, TellsWorkFromTheWay) {
  ObservedSpeeds speeds;
  for (int i = 0; i < 100; ++i) {
    speeds.record(key(1), answer(microseconds(1500), microseconds(1000)));
  }
  EXPECT_NEAR(speeds.of(key(1)).round_trip, 500e-6, 1e-9);
  EXPECT_NEAR(speeds.of(key(1)).rate, 1e9, 1e6);
  EXPECT_EQ(speeds.of(key(2)).rate, 0);
  // A large answer: half a megabyte in 5 ms more than the way.
  for (int i = 0; i < 5; ++i) {
    ObservedSpeeds::Answer large = answer(microseconds(6500), microseconds(1000), 500'000);
    large.rows = 64;
    speeds.record(key(1), large);
  }
  EXPECT_NEAR(speeds.of(key(1)).link_rate, 1e8, 1e6);
}

// One that says it was busy all the time has no round trip, and is as slow as it is.
TEST(ObservedSpeeds, ALieAboutTheWorkDoesNotMakeAWorkerFaster) {
  ObservedSpeeds speeds;
  for (int i = 0; i < 100; ++i) {
    speeds.record(key(1), answer(microseconds(5000), std::chrono::hours(1)));
    speeds.record(key(2), answer(microseconds(5000), microseconds(0)));
  }
  EXPECT_EQ(speeds.of(key(1)).round_trip, 0);
  EXPECT_NEAR(speeds.of(key(1)).rate, 2e8, 1e6);
  EXPECT_LE(speeds.of(key(2)).rate, 2e9) << "all is the way: fast, but not beyond all measure";
}

TEST(ObservedSpeeds, PromptsTellTheRateWithManyRows) {
  ObservedSpeeds speeds;
  ObservedSpeeds::Answer prompt = answer(microseconds(9000), microseconds(8000), 500'000);
  prompt.rows = 64;
  prompt.computed = microseconds(6400);  // the rest of its work was reading
  speeds.record(key(1), prompt);
  EXPECT_NEAR(speeds.of(key(1)).many_rate, 1e10, 1e6);
  prompt.computed = microseconds(1);  // a boast
  speeds.record(key(2), prompt);
  EXPECT_LE(speeds.of(key(2)).many_rate, 64e6 / 90e-6 * 1.001);
}

TEST(ObservedSpeeds, FollowsChanges) {
  ObservedSpeeds speeds;
  for (int i = 0; i < 2000; ++i) {
    speeds.record(key(1), answer(microseconds(1000), microseconds(1000)));
  }
  for (int i = 0; i < 4000; ++i) {
    speeds.record(key(1), answer(microseconds(4000), microseconds(4000)));
  }
  EXPECT_LT(speeds.of(key(1)).rate, 3e8);
}

TEST(ObservedSpeeds, IsBounded) {
  ObservedSpeeds speeds;
  for (uint32_t i = 0; i < 3 * ObservedSpeeds::kWorkersKept; ++i) {
    PeerKey peer = key(1);
    peer.bytes[0] = static_cast<uint8_t>(i);
    peer.bytes[1] = static_cast<uint8_t>(i >> 8);
    speeds.record(peer, answer(microseconds(10), microseconds(5)));
  }
  PeerKey last = key(1);
  EXPECT_EQ(speeds.of(last).rate, 0);
}

}  // namespace
}  // namespace potluck
