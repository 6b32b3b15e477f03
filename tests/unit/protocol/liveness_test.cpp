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

TEST(PeerClock, WhatIsDueStaysDueUntilItIsDone) {
  PeerClock peer(milliseconds(0));
  peer.sent(milliseconds(100));
  EXPECT_EQ(peer.next_due(), milliseconds(1100));
  // However late it is asked: the beat was due then, and no later moment takes its place.
  EXPECT_TRUE(peer.beat_due(milliseconds(300'000)));
  EXPECT_EQ(peer.next_due(), milliseconds(1100));
  peer.sent(milliseconds(3900));
  EXPECT_EQ(peer.next_due(), milliseconds(4000));
  EXPECT_EQ(peer.liveness(milliseconds(4000)), Liveness::kDead);
  peer.heard(milliseconds(4700));
  EXPECT_EQ(peer.next_due(), milliseconds(4900));
}

TEST(PeerClock, NothingIsDueBeforeTheNextDue) {
  for (int sent = 0; sent <= 6000; sent += 100) {
    PeerClock peer(milliseconds(0));
    peer.sent(milliseconds(sent));
    auto due = [&](TimePoint at) {
      return peer.beat_due(at) || peer.liveness(at) == Liveness::kDead;
    };
    EXPECT_FALSE(due(peer.next_due() - Duration(1))) << sent;
    EXPECT_TRUE(due(peer.next_due())) << sent;
  }
}

}  // namespace
}  // namespace potluck
