#include "worker/unit_delivery.h"

#include "tests/unit/worker/session_bench.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class UnitDeliveryTest : public SessionBench {
 protected:
  // Brings all grains of a unit that is open.
  void bring(UnitId unit) {
    for (GrainId grain : grains_of(unit)) {
      EXPECT_TRUE(delivery.keep(manifest.digest_of(grain), model.grain(grain)).ok());
    }
  }
  std::vector<Residency> reports() {
    delivery.report(kEpoch);
    return sent<Residency>();
  }
};

TEST_F(UnitDeliveryTest, TheNewestEarlyAssignmentOfTheEpochIsUsed) {
  delivery.keep_early(assignment(3, {kFirst}));
  delivery.keep_early(assignment(2, {kSecond}));  // late
  std::optional<Assignment> early = delivery.become_member(kEpoch);
  ASSERT_TRUE(early);
  EXPECT_EQ(early->version, 3u);
  EXPECT_FALSE(delivery.become_member(kEpoch));

  delivery.keep_early(assignment(3, {kFirst}));
  EXPECT_FALSE(delivery.become_member(kEpoch + 1));
  EXPECT_FALSE(delivery.become_member(kEpoch));
}

TEST_F(UnitDeliveryTest, AnOlderVersionCountsOnlyAfterAWelcome) {
  EXPECT_TRUE(delivery.assign(assignment(5, {kFirst}), manifest));
  EXPECT_FALSE(delivery.assign(assignment(4, {kSecond}), manifest));
  EXPECT_TRUE(delivery.units().assigned(kFirst));
  delivery.on_welcome(true);
  EXPECT_TRUE(delivery.units().assigned(kFirst));
  EXPECT_TRUE(delivery.assign(assignment(1, {kSecond}), manifest));
  EXPECT_FALSE(delivery.units().assigned(kFirst));
  delivery.on_welcome(false);
  EXPECT_EQ(delivery.units().assigned_count(), 0u);
}

TEST_F(UnitDeliveryTest, ReportsSeveralUnitsTogetherAndTheLastOneAtOnce) {
  UnitId third{SampleModel::kFloats, 2, 0};
  ASSERT_TRUE(delivery.assign(assignment(1, {kFirst, kSecond, third}), manifest));
  std::vector<UnitId> order;
  while (auto open = delivery.open_next()) order.push_back(open->unit);
  ASSERT_EQ(order.size(), 3u);
  bring(order[0]);
  EXPECT_EQ(reports().at(0).ready, std::vector{order[0]});
  bring(order[1]);
  EXPECT_TRUE(reports().empty());
  EXPECT_EQ(delivery.next_tick(), clock.now() + milliseconds(50));
  clock.advance(milliseconds(50));
  EXPECT_EQ(reports().at(0).ready, std::vector{order[1]});
  bring(order[2]);
  EXPECT_EQ(reports().at(0).ready, std::vector{order[2]});
  EXPECT_EQ(delivery.next_tick(), std::nullopt);
  EXPECT_TRUE(delivery.validate().ok());
}

TEST_F(UnitDeliveryTest, AGrainThatTheStoreDoesNotTrustMakesItsUnitMissing) {
  ASSERT_TRUE(delivery.assign(assignment(1, {kFirst}), manifest));
  delivery.open_next();
  bring(kFirst);
  reports();
  Digest digest = manifest.digest_of(grains_of(kFirst).front());
  EXPECT_EQ(delivery.distrust(digest), std::vector{kFirst});
  EXPECT_FALSE(delivery.is_stored(digest));
  EXPECT_EQ(reports().at(0).lost, std::vector{kFirst});
  EXPECT_TRUE(delivery.any_waiting());
}

// The coordinator uses what was called missing only once it is reported again.
TEST_F(UnitDeliveryTest, WhatWasMissingForWantOfMemoryIsOfferedAgain) {
  ASSERT_TRUE(delivery.assign(assignment(1, {kFirst}), manifest));
  delivery.open_next();
  bring(kFirst);
  reports();
  delivery.report_again_later();
  EXPECT_EQ(delivery.next_tick(), clock.now() + seconds(5));
  clock.set(*delivery.next_tick());
  delivery.on_tick(manifest);
  EXPECT_EQ(reports().at(0).ready, std::vector{kFirst});
}

TEST_F(UnitDeliveryTest, WithoutRoomNothingIsOpenedUntilSomeIsFound) {
  ASSERT_TRUE(delivery.assign(assignment(1, {kFirst, kSecond}), manifest));
  delivery.open_next();
  delivery.stop("the disk is full");
  EXPECT_NE(notices().find("0 of 2 units are ready: the disk is full"), std::string::npos);
  EXPECT_TRUE(delivery.full());
  EXPECT_FALSE(delivery.any_waiting());
  EXPECT_FALSE(delivery.open_next());
  EXPECT_EQ(delivery.next_tick(), clock.now()) << "the coordinator is to be told";
  EXPECT_EQ(reports().at(0).room_bytes, 0u);

  TimePoint look = clock.now() + UnitTable::kFirstRetry;
  EXPECT_EQ(delivery.next_tick(), look);
  room_can_be_made = false;
  clock.set(look);
  delivery.on_tick(manifest);
  EXPECT_TRUE(delivery.full());
  EXPECT_EQ(delivery.next_tick(), look + 2 * UnitTable::kFirstRetry);
  room_can_be_made = true;
  clock.set(*delivery.next_tick());
  delivery.on_tick(manifest);
  EXPECT_EQ(reports().at(0).room_bytes, Residency::kAnyRoom);
  EXPECT_TRUE(delivery.open_next());
  EXPECT_TRUE(delivery.cared_for() || delivery.any_waiting());
}

}  // namespace
}  // namespace potluck::test
