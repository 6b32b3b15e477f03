#include "protocol/serve_pacer.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kPart = 100'000;

// Bytes that go out in that time when there is always something to send.
uint64_t sent_within(ServePacer& pacer, ManualClock& clock, Duration time, bool working) {
  uint64_t bytes = 0;
  TimePoint end = clock.now() + time;
  while (clock.now() < end) {
    if (working) pacer.work_seen(clock.now());
    while (pacer.may_send(clock.now())) {
      pacer.sent(kPart, clock.now());
      bytes += kPart;
    }
    clock.set(std::min({end, pacer.next(clock.now()), clock.now() + milliseconds(100)}));
  }
  return bytes;
}

TEST(ServePacer, KeepsToItsRate) {
  ManualClock clock;
  ServePacer pacer(8'000'000);
  sent_within(pacer, clock, seconds(1), false);
  uint64_t bytes = sent_within(pacer, clock, seconds(10), false);
  EXPECT_NEAR(static_cast<double>(bytes), 80e6, 0.5e6);
}

TEST(ServePacer, LeavesAnEighthWhileThereIsWork) {
  ManualClock clock;
  ServePacer pacer(8'000'000);
  sent_within(pacer, clock, seconds(1), true);
  uint64_t bytes = sent_within(pacer, clock, seconds(10), true);
  EXPECT_NEAR(static_cast<double>(bytes), 10e6, 0.5e6);
  clock.advance(ServePacer::kBusyFor);  // and then everything again
  sent_within(pacer, clock, seconds(1), false);
  EXPECT_GT(sent_within(pacer, clock, seconds(1), false), 7'000'000u);
}

TEST(ServePacer, AFastRateIsCutToWhatDoesNotDisturb) {
  ManualClock clock;
  ServePacer pacer(kDefaultServeRate);
  sent_within(pacer, clock, seconds(1), true);
  uint64_t bytes = sent_within(pacer, clock, seconds(10), true);
  EXPECT_NEAR(static_cast<double>(bytes), 10.0 * ServePacer::kMostWhileBusy, 2e6);
}

TEST(ServePacer, APartOfAnySizeGoesOutAndIsPaidFor) {
  ManualClock clock;
  ServePacer pacer(1'000'000);
  ASSERT_TRUE(pacer.may_send(clock.now()));
  pacer.sent(5'000'000, clock.now());
  EXPECT_FALSE(pacer.may_send(clock.now()));
  TimePoint next = pacer.next(clock.now());
  EXPECT_GT(next, clock.now() + milliseconds(4900));
  clock.set(next - milliseconds(1));
  EXPECT_FALSE(pacer.may_send(clock.now()));
  clock.set(next);
  EXPECT_TRUE(pacer.may_send(clock.now()));
}

TEST(ServePacer, TheEndOfWorkIsLookedAtAgain) {
  ManualClock clock;
  ServePacer pacer(1'000'000);
  pacer.work_seen(clock.now());
  pacer.sent(10'000'000, clock.now());
  EXPECT_EQ(pacer.next(clock.now()), clock.now() + ServePacer::kBusyFor);
}

}  // namespace
}  // namespace potluck
