// What is learned about a worker from how it answers.
#include "coordinator/dispatch/worker_track.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// It answers each call just before its deadline: once 2, 6, 18 .. 1,800 s.
TEST(WorkerTrack, AnsweringJustInTimeDoesNotMoveTheDeadlineBeyondItsCap) {
  WorkerTrack track;
  TimePoint now{0};
  for (int i = 0; i < 50; ++i) {
    Duration deadline = track.deadline(1);
    EXPECT_LE(deadline, DeadlineEstimator::kCallCap + DeadlineEstimator::kRowCap);
    AskedMessage asked = track.asked(now, 1, 4, 100);
    now += deadline - milliseconds(20);
    track.measured(now, asked);
    track.settled(asked);
    track.answered_well();
    EXPECT_LE(track.deadline(512), DeadlineEstimator::kCap);
    EXPECT_LE(track.deadline(4096), DeadlineEstimator::kCap);
  }
}

// Twenty calls of 5 ms and one of a second: once 1,536 s for 512 rows.
TEST(WorkerTrack, OneSlowAnswerDoesNotMakeTheNextPrefillWait) {
  WorkerTrack track;
  TimePoint now{0};
  auto call = [&](Duration took) {
    AskedMessage asked = track.asked(now, 1, 4, 100);
    now += took;
    track.measured(now, asked);
    track.settled(asked);
  };
  for (int i = 0; i < 20; ++i) call(milliseconds(5));
  Duration before = track.deadline(512);
  call(seconds(1));
  EXPECT_LE(track.deadline(512), DeadlineEstimator::kLargestStep * before);
  EXPECT_LE(track.deadline(512), DeadlineEstimator::kCap);
  EXPECT_EQ(track.deadline(1), kDeadlineFloor);
}

// Several messages under way fail together: that is one failure.
TEST(WorkerTrack, WhatFailsTogetherCountsOnce) {
  WorkerTrack track;
  for (int i = 0; i < 8; ++i) track.answered_badly(seconds(10));
  EXPECT_FALSE(track.usable(seconds(10)));
  EXPECT_TRUE(track.usable(seconds(11)));
}

// The first deadline that is missed is a lesson about speed; the next ones are not forgiven.
TEST(WorkerTrack, ALateAnswerIsForgivenOnce) {
  WorkerTrack track;
  track.missed_deadline(seconds(10));
  track.heard();
  EXPECT_FALSE(track.usable(seconds(10)));
  track.answered_late();
  EXPECT_TRUE(track.usable(seconds(10)));
  track.missed_deadline(seconds(20));
  track.heard();
  track.answered_late();
  EXPECT_FALSE(track.usable(seconds(20)));
  EXPECT_FALSE(track.usable(milliseconds(21'999)));
  EXPECT_TRUE(track.usable(seconds(22)));
  track.answered_well();
  track.missed_deadline(seconds(30));
  track.heard();
  track.answered_late();
  EXPECT_TRUE(track.usable(seconds(30)));
}

// Answers one message of a row after `took`; the next one is asked then.
void answer(WorkerTrack* track, TimePoint* now, Duration took, bool cold = false) {
  AskedMessage asked = track->asked(*now, 1, 4, 100);
  *now += took;
  track->measured(*now, asked, cold);
  track->settled(asked);
  track->answered_well();
}

TEST(WorkerTrack, OthersAreAskedAfterThreeTimesItsTailAndAFloor) {
  WorkerTrack track;
  TimePoint now{0};
  for (int i = 0; i < 20; ++i) answer(&track, &now, milliseconds(2));
  EXPECT_FALSE(track.redispatch_after(1)) << "the first answers tell nothing of what is usual";
  EXPECT_FALSE(track.hedge_after(1));
  for (int i = 0; i < 40; ++i) answer(&track, &now, milliseconds(2));
  EXPECT_EQ(track.redispatch_after(1), kRedispatchFloor);
  EXPECT_EQ(track.hedge_after(1), kHedgeFloor);
  EXPECT_EQ(track.deadline(1), kDeadlineFloor);
  for (int i = 0; i < 40; ++i) answer(&track, &now, milliseconds(100));
  EXPECT_GE(*track.redispatch_after(1), milliseconds(300));
  EXPECT_LE(*track.redispatch_after(1), milliseconds(370));
  EXPECT_GE(*track.hedge_after(1), milliseconds(100));
  EXPECT_LE(*track.hedge_after(1), milliseconds(125));
  // What is asked behind something else waits for it first.
  Duration before = *track.redispatch_after(1);
  track.asked(now, 1, 4, 100);
  EXPECT_GE(*track.redispatch_after(1), before + milliseconds(90));
}

TEST(WorkerTrack, AColdDiskNowAndThenIsNotUsual) {
  WorkerTrack track;
  TimePoint now{0};
  for (int i = 0; i < 8; ++i) answer(&track, &now, milliseconds(400), true);
  for (int i = 0; i < 300; ++i) answer(&track, &now, milliseconds(2));
  answer(&track, &now, milliseconds(400), true);
  EXPECT_EQ(track.hedge_after(1), kHedgeFloor);
  // A disk that is read all the time is.
  for (int i = 0; i < 60; ++i) answer(&track, &now, milliseconds(i % 3 == 0 ? 90 : 2), i % 3 == 0);
  EXPECT_GE(*track.hedge_after(1), milliseconds(90));
}

TEST(WorkerTrack, OneWhoseAnswerIsLateIsAskedOnlyWhereNobodyElseIs) {
  WorkerTrack track;
  EXPECT_EQ(track.willingness(seconds(0)), Willingness::kGladly);
  AskedMessage asked = track.asked(seconds(0), 1, 4, 100);
  track.became_late(&asked);
  track.became_late(&asked);
  EXPECT_EQ(track.willingness(seconds(0)), Willingness::kReluctant);
  EXPECT_TRUE(track.usable(seconds(0)));
  track.settled(asked);
  EXPECT_EQ(track.willingness(seconds(0)), Willingness::kGladly);
}

TEST(WorkerTrack, AHalfOpenOneGetsOneMessageAtATime) {
  WorkerTrack track;
  TimePoint now = seconds(10);
  answer(&track, &now, milliseconds(1));
  track.answered_badly(now);
  EXPECT_EQ(track.willingness(now), Willingness::kNone);
  now += seconds(1);
  EXPECT_EQ(track.breaker(now), BreakerState::kHalfOpen);
  EXPECT_EQ(track.willingness(now), Willingness::kGladly);
  EXPECT_TRUE(track.takes_more(1, 100, now));
  AskedMessage probe = track.asked(now, 1, 4, 100);
  EXPECT_EQ(track.willingness(now), Willingness::kReluctant);
  EXPECT_FALSE(track.takes_more(1, 100, now));
  track.settled(probe);
  track.answered_well();
  EXPECT_EQ(track.breaker(now), BreakerState::kClosed);
}

}  // namespace
}  // namespace potluck
