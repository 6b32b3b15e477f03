// How much a store has written: counted by day, kept over restarts, bounded.
#include "engine/experts/write_ledger.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "engine/experts/grain_store.h"

namespace potluck {
namespace {

constexpr uint64_t kLedgerGrain = 2 * 4096;
constexpr Duration kOneDay = std::chrono::hours(24);

class WriteLedgerTest : public ::testing::Test {
 protected:
  WriteLedgerTest() { EXPECT_TRUE(storage_.make_directories("d")); }
  WriteLedger ledger(uint64_t most = 0) {
    WriteLedger ledger(storage_, "d/writes", {&clock_, most});
    ledger.load(&notices_);
    return ledger;
  }
  void damage(std::string_view text) {
    ASSERT_TRUE(storage_.write_atomic("d/writes", as_bytes(text)));
  }

  MemoryStorage storage_;
  ManualClock clock_;
  std::vector<LogEvent> notices_;
};

TEST_F(WriteLedgerTest, CountsByDayAndInAll) {
  WriteLedger writes = ledger();
  writes.wrote(10);
  writes.wrote(5);
  EXPECT_EQ(writes.today(), 15u);
  clock_.advance(kOneDay);
  EXPECT_EQ(writes.today(), 0u);
  writes.wrote(7);
  EXPECT_EQ(writes.today(), 7u);
  EXPECT_EQ(writes.total(), 22u);
  EXPECT_EQ(writes.allowance(), WriteLedger::kAny);
}

TEST_F(WriteLedgerTest, IsKeptOverRestarts) {
  WriteLedger first = ledger(100);
  first.wrote(30);
  ASSERT_TRUE(first.save());
  clock_.advance(std::chrono::minutes(1));
  EXPECT_EQ(ledger(100).today(), 30u);
  EXPECT_EQ(ledger(100).allowance(), 70u);
  clock_.advance(kOneDay);
  EXPECT_EQ(ledger(100).allowance(), 100u);
  EXPECT_EQ(ledger(100).total(), 30u);
  EXPECT_TRUE(notices_.empty());
}

// A calendar that was wrong once must not bar the store until that day comes.
TEST_F(WriteLedgerTest, ADayInTheFutureIsAnotherDay) {
  damage("potluck writes 1 500 40000 500\n");
  EXPECT_EQ(ledger(100).allowance(), 100u);
  EXPECT_EQ(ledger(100).total(), 500u);
}

TEST_F(WriteLedgerTest, WhatCannotBeReadIsSaidAndCountedAnew) {
  for (std::string_view text :
       {"", "potluck writes 1 5 5", "potluck writes 2 5 5 5\n", "potluck writes 1 5 5\n",
        "potluck writes 1 5 -5 5\n", "potluck writes 1 5 5 5 5\n",
        "potluck writes 1 99999999999999999999 5 5\n", "potluck writes 1 5 99999999999 5\n"}) {
    damage(text);
    notices_.clear();
    EXPECT_EQ(ledger().total(), 0u) << text;
    ASSERT_EQ(notices_.size(), 1u) << text;
    EXPECT_NE(notices_[0].message.find("d/writes: how much was written is counted anew"),
              std::string::npos);
  }
}

class BoundedStoreTest : public WriteLedgerTest {
 protected:
  void open(uint64_t most) {
    store_.reset();
    store_ = *GrainStore::open(storage_, "store", kMiB, {&clock_, most});
  }
  Status put(uint64_t seed) {
    ByteVector grain(kLedgerGrain);
    SeededEntropy(seed).fill(grain);
    return store_->put(sha256(grain), grain);
  }

  std::unique_ptr<GrainStore> store_;
};

TEST_F(BoundedStoreTest, AGrainIsWrittenOnceAndCountedOnce) {
  open(0);
  ASSERT_TRUE(put(1));
  const uint64_t once = store_->writes().total();
  EXPECT_GE(once, kLedgerGrain);
  EXPECT_LT(once, kLedgerGrain + 1024);  // and its entry in the index
  ASSERT_TRUE(put(1));
  EXPECT_EQ(store_->writes().total(), once);
  ASSERT_TRUE(put(2));
  open(0);
  EXPECT_EQ(store_->writes().total(), 2 * once);
  EXPECT_EQ(store_->writes().today(), 2 * once);
}

TEST_F(BoundedStoreTest, RefusesWhatIsBeyondTheDayAndTakesItOnTheNext) {
  open(3 * kLedgerGrain);
  ASSERT_TRUE(put(1));
  ASSERT_TRUE(put(2));
  Status refused = put(3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_NE(refused.error().message.find("16.1 KiB of the 24.0 KiB that it may write a day"),
            std::string::npos)
      << refused.error().message;
  EXPECT_LT(store_->room_bytes(), kLedgerGrain);
  EXPECT_EQ(store_->what_limits_room(),
            "it has written 16.1 KiB of the 24.0 KiB that it may write a day");
  EXPECT_TRUE(put(1));  // what is there already costs nothing
  clock_.advance(kOneDay);
  EXPECT_TRUE(put(3));
}

TEST_F(BoundedStoreTest, ACardThatIsPulledOutComesBackWithWhatItHas) {
  open(0);
  ByteVector grain(kLedgerGrain);
  SeededEntropy(1).fill(grain);
  const Digest name = sha256(grain);
  ASSERT_TRUE(store_->put(name, grain));
  EXPECT_TRUE(store_->reachable());
  storage_.detach(true);
  EXPECT_EQ(store_->read(name, grain).error().code, ErrorCode::kIo);
  EXPECT_FALSE(store_->reachable());
  EXPECT_TRUE(store_->take_gone());
  EXPECT_FALSE(store_->take_gone());
  store_->distrust(name);
  store_->remove(name);
  EXPECT_TRUE(store_->scrub(kMiB).lost.empty());
  EXPECT_EQ(store_->room_bytes(), 0u);
  EXPECT_EQ(put(2).error().code, ErrorCode::kLimit);
  EXPECT_EQ(store_->what_limits_room(), "its disk cannot be reached");
  EXPECT_FALSE(store_->reconnect());
  storage_.detach(false);
  EXPECT_FALSE(store_->reachable()) << "not before it was opened anew";
  EXPECT_TRUE(store_->reconnect());
  EXPECT_TRUE(store_->read(name, grain));
  EXPECT_EQ(sha256(grain), name);
  EXPECT_TRUE(put(2));
  open(0);
  EXPECT_EQ(store_->count(), 2u);
}

// One file less is no disk less.
TEST_F(BoundedStoreTest, AMissingSegmentIsNoMissingDisk) {
  open(0);
  ASSERT_TRUE(put(1));
  ASSERT_TRUE(storage_.remove("store/segments/000000.grains"));
  EXPECT_TRUE(store_->reachable());
  EXPECT_FALSE(store_->take_gone());
}

}  // namespace
}  // namespace potluck
