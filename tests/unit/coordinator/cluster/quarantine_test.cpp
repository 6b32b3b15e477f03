// Workers that answered wrongly hold nothing, until their time is over or their owner lets them
// out.
#include <gtest/gtest.h>

#include "coordinator/cluster/quarantine_list.h"
#include "engine/base/memory_storage.h"
#include "tests/support/faulty_storage.h"
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using test::any_contains;
using test::MembershipTest;
using test::peer;

QuarantineList list_in(MemoryStorage& storage) {
  auto list = QuarantineList::load(storage, "quarantine");
  EXPECT_TRUE(list.ok()) << list.error().message;
  return *list;
}

TEST(QuarantineList, EachTimeIsTwiceAsLong) {
  QuarantineList list;
  int64_t now = 1'000'000;
  for (int64_t pause = QuarantineList::kFirstSeconds; pause < QuarantineList::kLongestSeconds;
       pause *= 2) {
    EXPECT_FALSE(list.contains(peer(1)));
    ASSERT_TRUE(list.add(peer(1), "a wrong answer", now).ok());
    EXPECT_TRUE(list.contains(peer(1)));
    EXPECT_FALSE(list.release_if_due(peer(1), now + pause - 1));
    EXPECT_TRUE(list.release_if_due(peer(1), now + pause));
    EXPECT_FALSE(list.release(peer(1)));
    now += pause;
  }
  ASSERT_TRUE(list.add(peer(1), "", now).ok());
  EXPECT_FALSE(list.release_if_due(peer(1), now + QuarantineList::kLongestSeconds - 1));
  EXPECT_TRUE(list.release_if_due(peer(1), now + QuarantineList::kLongestSeconds));
}

TEST(QuarantineList, IsKeptInAFile) {
  MemoryStorage storage;
  QuarantineList list = list_in(storage);
  EXPECT_TRUE(list.entries().empty());
  ASSERT_TRUE(list.add(peer(1), "a wrong answer\nin layer 3", 100).ok());
  ASSERT_TRUE(list.add(peer(2), "", 100).ok());
  EXPECT_TRUE(list.release(peer(2)));
  QuarantineList again = list_in(storage);
  EXPECT_EQ(again.entries(), list.entries());
  EXPECT_TRUE(again.contains(peer(1)));
  EXPECT_FALSE(again.contains(peer(2)));
  EXPECT_EQ(again.entries().at(peer(2)).times, 1u) << "the next time is longer";
}

TEST(QuarantineList, AFileThatIsNoListIsRefusedByItsLine) {
  MemoryStorage storage;
  std::string key = peer(1).text();
  for (const std::string& line :
       {std::string("nonsense"), key, key + " 1", key + " 1 x", key + " -1 5 no", key + " 99 5 no",
        key + " 1 -5 no", key + "1 5 no", key + " 1 5 no\n" + key + " 1 5 no"}) {
    ASSERT_TRUE(storage.write_atomic("quarantine", as_bytes("# a list\n" + line)).ok());
    auto list = QuarantineList::load(storage, "quarantine");
    ASSERT_FALSE(list.ok()) << line;
    EXPECT_NE(list.error().message.find("quarantine, line "), std::string::npos);
  }
  ASSERT_TRUE(storage.write_atomic("quarantine", as_bytes(key + " 1 5\r\n\n")).ok());
  EXPECT_TRUE(list_in(storage).contains(peer(1)));
}

TEST(QuarantineList, KeysComeAndGoAndItIsBounded) {
  QuarantineList list;
  for (size_t i = 0; i < 17 * size_t{limits::kWorkers}; ++i) {
    PeerKey key = peer(9);
    key.bytes[1] = static_cast<uint8_t>(i);
    key.bytes[2] = static_cast<uint8_t>(i >> 8);
    ASSERT_TRUE(list.add(key, "", 100 + static_cast<int64_t>(i)).ok());
  }
  EXPECT_EQ(list.entries().size(), 16 * size_t{limits::kWorkers});
}

TEST_F(MembershipTest, AWorkerInQuarantineHoldsNothing) {
  for (uint8_t number : std::vector<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::vector<uint8_t>{1, 2}) make_ready(number);
  forget_sent();
  membership_->quarantine(peer(1), "a wrong answer in layer 2");
  const WorkerRecord& record = *membership_->state().worker(peer(1));
  ASSERT_TRUE(record.quarantine);
  EXPECT_EQ(record.quarantine->reason, "a wrong answer in layer 2");
  EXPECT_TRUE(record.assigned.empty());
  EXPECT_TRUE(record.ready.empty());
  EXPECT_EQ(assigned_units(), kUnits);
  EXPECT_EQ(membership_->state().worker(peer(2))->assigned.size(), kUnits);
  std::vector<Assignment> told = sent<Assignment>(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].units.empty());
  EXPECT_TRUE(any_contains(membership_->take_notices(), "is in quarantine for 10 minutes"));
  // Nor does it when others come and go, or when it greets again.
  join(3);
  pause();
  tell(1, hello(1));
  EXPECT_TRUE(membership_->state().worker(peer(1))->quarantine);
  EXPECT_TRUE(membership_->state().worker(peer(1))->assigned.empty());
  EXPECT_GE(assigned_units(), kUnits);  // more while units move
  // What it claims to have ready is not believed.
  make_ready(1);
  EXPECT_TRUE(membership_->state().worker(peer(1))->ready.empty());
}

TEST_F(MembershipTest, AGreetingAfterItsTimeLetsItOut) {
  for (uint8_t number : std::vector<uint8_t>{1, 2}) join(number);
  membership_->quarantine(peer(1), "test");
  clock_.advance(std::chrono::seconds(QuarantineList::kFirstSeconds - 1));
  tell(1, hello(1));
  EXPECT_TRUE(membership_->state().worker(peer(1))->quarantine);
  clock_.advance(std::chrono::seconds(60));
  EXPECT_TRUE(membership_->state().worker(peer(1))->quarantine) << "time alone is not enough";
  // With a self-test that fails it is no member at all.
  Hello unfit = hello(1);
  unfit.kernels[0].digest.bytes[0] ^= 1;
  for (KernelPart part : manifest_.kernel_parts()) digest_of(unfit, part).bytes[0] ^= 1;
  tell(1, unfit);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  pause();
  clock_.advance(kLongestGreetingPause);
  tell(1, hello(1));
  EXPECT_FALSE(membership_->state().worker(peer(1))->quarantine);
  EXPECT_FALSE(membership_->state().worker(peer(1))->assigned.empty());
  EXPECT_EQ(assigned_units(), kUnits);
}

TEST_F(MembershipTest, ItsOwnerLetsItOutAtOnce) {
  for (uint8_t number : std::vector<uint8_t>{1, 2}) join(number);
  membership_->quarantine(peer(1), "test");
  EXPECT_EQ(membership_->release_quarantined(), 1u);
  EXPECT_EQ(membership_->release_quarantined(), 0u);
  EXPECT_FALSE(membership_->state().worker(peer(1))->quarantine);
  EXPECT_FALSE(membership_->state().worker(peer(1))->assigned.empty());
}

// Also where nobody is left: the coordinator then computes everything.
TEST_F(MembershipTest, AllMayBeInQuarantine) {
  for (uint8_t number : std::vector<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::vector<uint8_t>{1, 2}) membership_->quarantine(peer(number), "test");
  EXPECT_EQ(assigned_units(), 0u);
  join(3);
  EXPECT_EQ(assigned_units(), kUnits);
}

TEST_F(MembershipTest, ANewLifeOfTheCoordinatorKnowsWhoIsIn) {
  QuarantineList list;
  ASSERT_TRUE(list.add(peer(1), "before", clock_.unix_seconds()).ok());
  options_.quarantine = &list;
  membership_.emplace(options_, manifest_, allow_list_, invitations_, clock_);
  ASSERT_TRUE(allow_list_.add(peer(1), "test").ok());
  tell(1, hello(1));
  EXPECT_TRUE(membership_->is_member(peer(1)));
  join(2);
  EXPECT_TRUE(membership_->state().worker(peer(1))->assigned.empty());
  EXPECT_EQ(membership_->state().worker(peer(2))->assigned.size(), kUnits);
}

}  // namespace
}  // namespace potluck
