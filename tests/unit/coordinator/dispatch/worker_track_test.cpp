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
    AskedMessage asked = track.asked(now, 1, 100);
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
    AskedMessage asked = track.asked(now, 1, 100);
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

}  // namespace
}  // namespace potluck
