// The process or the power goes at every single change of the disk: what was promised is there
// afterwards, nothing wrong is ever read, and the store works on.
#include <map>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/experts/grain_store.h"
#include "tests/unit/engine/experts/crashing_storage.h"

namespace potluck {
namespace {

constexpr uint64_t kCrashPage = 4096;
constexpr uint64_t kQuota = 1 * kMiB;

ByteVector make_crash_grain(uint64_t seed) {
  ByteVector grain((1 + seed % 3) * kCrashPage);
  SeededEntropy(seed).fill(grain);
  return grain;
}

// What the store has said that it did.
struct Promises {
  std::map<uint64_t, bool> present;   // by seed; false: removed
  std::map<uint64_t, bool> flushed;   // as `present` was at the last flush that succeeded
  std::optional<uint64_t> in_flight;  // what the process died at
};

// Puts, removes and flushes by a fixed plan until the storage fails.
void work(Storage& storage, Promises* promises) {
  auto store = GrainStore::open(storage, "store", kQuota);
  if (!store) return;
  for (uint64_t step = 0; step < 24; ++step) {
    uint64_t seed = step % 7 == 5 ? step - 3 : step;
    ByteVector grain = make_crash_grain(seed);
    promises->in_flight = seed;
    if (step % 7 == 5) {
      (*store)->remove(sha256(grain));
      promises->present[seed] = false;
    } else {
      if (!(*store)->put(sha256(grain), grain)) return;
      promises->present[seed] = true;
    }
    if (step % 5 == 4) {
      if (!(*store)->flush()) return;
      promises->flushed = promises->present;
    }
    promises->in_flight.reset();
  }
  if ((*store)->flush()) promises->flushed = promises->present;
}

bool reads_right(GrainStore& store, uint64_t seed) {
  ByteVector grain = make_crash_grain(seed);
  ByteVector out(grain.size());
  if (!store.contains(sha256(grain))) return false;
  Status read = store.read(sha256(grain), out);
  EXPECT_TRUE(!read || out == grain) << "grain " << seed;
  return read.ok();
}

void expect_works_on(MemoryStorage& storage) {
  auto store = GrainStore::open(storage, "store", kQuota);
  ASSERT_TRUE(store) << store.error().message;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    (void)reads_right(**store, seed);  // forgets what was lost
    ByteVector grain = make_crash_grain(seed);
    ASSERT_TRUE((*store)->put(sha256(grain), grain));
  }
  store->reset();
  store = GrainStore::open(storage, "store", kQuota);
  EXPECT_TRUE((*store)->take_notices().empty());
  for (uint64_t seed = 0; seed < 30; ++seed) EXPECT_TRUE(reads_right(**store, seed)) << seed;
}

TEST(GrainStoreCrash, ADeadProcessLosesAtMostWhatItWasWriting) {
  bool finished = false;
  for (uint64_t changes = 0; !finished; ++changes) {
    SCOPED_TRACE(changes);
    ASSERT_LT(changes, 1000u);
    MemoryStorage disk;
    test::CrashingStorage storage(disk, changes);
    Promises promises;
    work(storage, &promises);
    finished = !storage.crashed();
    disk.end_process();
    {
      auto store = GrainStore::open(disk, "store", kQuota);
      ASSERT_TRUE(store) << store.error().message;
      for (auto [seed, present] : promises.present) {
        if (seed == promises.in_flight) continue;
        bool there = reads_right(**store, seed);
        EXPECT_TRUE(there || !present) << "grain " << seed;
      }
    }
    expect_works_on(disk);
  }
}

TEST(GrainStoreCrash, APowerCutLosesAtMostWhatWasNotFlushed) {
  bool finished = false;
  for (uint64_t changes = 0; !finished; ++changes) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      SCOPED_TRACE(testing::Message() << changes << " changes, seed " << seed);
      MemoryStorage disk;
      test::CrashingStorage storage(disk, changes);
      Promises promises;
      work(storage, &promises);
      finished = !storage.crashed();
      disk.cut_power(seed);
      {
        auto store = GrainStore::open(disk, "store", kQuota);
        ASSERT_TRUE(store) << store.error().message;
        for (auto [grain, present] : promises.flushed) {
          bool there = reads_right(**store, grain);
          bool touched = grain == promises.in_flight || promises.present[grain] != present;
          EXPECT_TRUE(there || !present || touched) << "grain " << grain;
        }
        for (uint64_t grain = 0; grain < 30; ++grain) (void)reads_right(**store, grain);
      }
      expect_works_on(disk);
    }
  }
}

}  // namespace
}  // namespace potluck
