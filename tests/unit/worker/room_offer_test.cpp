#include "worker/room_offer.h"

#include <gtest/gtest.h>

#include "worker/unit_table.h"

namespace potluck {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(RoomOffer, IsLookedForLaterAndLater) {
  RoomOffer room;
  EXPECT_EQ(room.next_look(), std::nullopt);
  TimePoint now = minutes(10);
  room.stop(now);
  EXPECT_TRUE(room.full());
  for (Duration pause :
       {seconds(30), seconds(60), seconds(120), seconds(240), seconds(480), seconds(480)}) {
    ASSERT_EQ(room.next_look(), now + pause);
    now += pause;
    room.looked(false, now);
  }
  EXPECT_TRUE(room.full());
  room.looked(true, now);
  EXPECT_FALSE(room.full());
  EXPECT_FALSE(room.limited());
}

// A disk that is full again and again is not asked as often as one that is full for once.
TEST(RoomOffer, OnlyWhenEverythingFitsIsThePauseShortAgain) {
  RoomOffer room;
  room.stop(seconds(0));
  room.offer(1000);
  room.looked(true, seconds(30));
  EXPECT_TRUE(room.limited());
  room.enough();  // all that is assigned, but less was offered
  room.stop(seconds(100));
  EXPECT_EQ(room.next_look(), seconds(160));
  room.looked(true, seconds(160));
  room.offer(Residency::kAnyRoom);
  EXPECT_EQ(room.next_look(), std::nullopt);
  room.enough();
  room.stop(seconds(200));
  EXPECT_EQ(room.next_look(), seconds(230));
}

TEST(RoomOffer, IsToldWhenItChangesAndAfterAWelcome) {
  RoomOffer room;
  room.offer(Residency::kAnyRoom);
  room.tell_again();
  EXPECT_FALSE(room.changed());
  room.offer(1000);
  EXPECT_TRUE(room.take_changed());
  room.offer(1000);
  EXPECT_FALSE(room.changed());
  room.tell_again();
  EXPECT_TRUE(room.take_changed());
  EXPECT_FALSE(room.take_changed());
}

}  // namespace
}  // namespace potluck
