#include "protocol/liveness.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;

TEST(PeerClock, SilenceRaisesDoubtThenCertainty) {
  struct Case {
    int silence_ms;
    Liveness expected;
  };
  PeerClock peer(milliseconds(500));
  for (Case c : {Case{0, Liveness::kAlive}, Case{1999, Liveness::kAlive},
                 Case{2000, Liveness::kSuspect}, Case{3999, Liveness::kSuspect},
                 Case{4000, Liveness::kDead}, Case{1'000'000, Liveness::kDead}}) {
    EXPECT_EQ(peer.liveness(milliseconds(500 + c.silence_ms)), c.expected) << c.silence_ms;
  }
  peer.heard(milliseconds(10'000));
  EXPECT_EQ(peer.liveness(milliseconds(11'999)), Liveness::kAlive);
}

TEST(PeerClock, ABeatIsDueWhenNothingElseWasSaid) {
  PeerClock peer(milliseconds(0));
  EXPECT_FALSE(peer.beat_due(milliseconds(999)));
  EXPECT_TRUE(peer.beat_due(milliseconds(1000)));
  peer.sent(milliseconds(700));
  EXPECT_FALSE(peer.beat_due(milliseconds(1699)));
  EXPECT_TRUE(peer.beat_due(milliseconds(1700)));
}

TEST(PeerClock, NextChangeIsWhenSomethingChanges) {
  PeerClock peer(milliseconds(0));
  peer.sent(milliseconds(100));
  struct Case {
    int now_ms;
    int next_ms;
  };
  for (Case c :
       {Case{100, 1100}, Case{1099, 1100}, Case{1100, 2000}, Case{2000, 4000}, Case{3999, 4000}}) {
    EXPECT_EQ(peer.next_change(milliseconds(c.now_ms)), milliseconds(c.next_ms)) << c.now_ms;
  }
  EXPECT_EQ(peer.next_change(milliseconds(4000)), TimePoint::max());
}

TEST(PeerClock, NothingChangesBeforeTheNextChange) {
  PeerClock peer(milliseconds(0));
  peer.heard(milliseconds(300));
  TimePoint now = milliseconds(300);
  for (int step = 0; step < 3; ++step) {
    TimePoint next = peer.next_change(now);
    auto state = [&](TimePoint at) { return std::pair(peer.liveness(at), peer.beat_due(at)); };
    EXPECT_EQ(state(now), state(next - Duration(1)));
    EXPECT_NE(state(now), state(next));
    now = next;
  }
}

}  // namespace
}  // namespace potluck
