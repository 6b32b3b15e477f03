// Flash by kind: how fast it reads, by the size of the requests, and what a measured rate is like.
#include "engine/base/storage_profile.h"

#include <gtest/gtest.h>

#include "engine/base/inline_reader.h"
#include "engine/base/memory_storage.h"
#include "engine/base/simulated_disk.h"

namespace potluck {
namespace {

TEST(StorageProfile, LargerRequestsGetMoreAndNoneGetsAll) {
  for (const StorageProfile& profile : storage_profiles()) {
    double before = 0;
    for (uint64_t bytes = 4 * kKiB; bytes <= 16 * kMiB; bytes *= 2) {
      const double rate = profile.bytes_per_second(bytes);
      EXPECT_GT(rate, before) << profile.name;
      EXPECT_LT(rate, profile.most_bytes_per_second) << profile.name;
      before = rate;
    }
    // What experts are read by loses a fifth at most, a page nearly everything.
    EXPECT_GT(profile.bytes_per_second(kMiB), 0.8 * profile.most_bytes_per_second);
    EXPECT_LT(profile.bytes_per_second(4 * kKiB), 0.2 * profile.most_bytes_per_second);
    EXPECT_EQ(find_storage_profile(profile.name), &profile);
    EXPECT_EQ(storage_like(profile.bytes_per_second(kMiB)), &profile);
  }
  EXPECT_EQ(find_storage_profile("floppy"), nullptr);
  EXPECT_EQ(storage_profile_names(), "sd, emmc, ufs2, ufs3, ufs4");
}

TEST(StorageProfile, WhatIsFasterThanAllOfThemIsLikeNone) {
  EXPECT_EQ(storage_like(7e9), nullptr);
  EXPECT_EQ(storage_like(0), nullptr);
  EXPECT_EQ(storage_like(5e6)->name, "sd");
}

// As the simulator reads it: each request costs its overhead, and all of it more when it is hot.
TEST(StorageProfile, ASimulatedDiskKeepsToIt) {
  const StorageProfile& emmc = *find_storage_profile("emmc");
  MemoryStorage storage;
  ASSERT_TRUE(storage.write_atomic("f", ByteVector(4 * kMiB)));
  auto file = storage.open("f", ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  ByteVector memory(kMiB);
  ManualClock clock;
  double slower = 1;
  SimulatedDisk disk(std::make_unique<InlineBlockReader>(clock),
                     static_cast<uint64_t>(emmc.most_bytes_per_second), clock,
                     [&](TimePoint until) { clock.set(std::max(until, clock.now())); },
                     {emmc.overhead(), &slower});
  auto rate_of = [&](uint64_t bytes) {
    const TimePoint begin = clock.now();
    std::vector<BlockReadDone> done;
    const BlockRead read{file->get(), 0, MutableByteSpan(memory).first(bytes), 1, false};
    disk.submit({&read, 1});
    while (done.empty()) disk.collect(&done, true);
    return static_cast<double>(bytes) / in_seconds(clock.now() - begin);
  };
  EXPECT_NEAR(rate_of(kMiB) / emmc.bytes_per_second(kMiB), 1, 0.001);
  EXPECT_NEAR(rate_of(64 * kKiB) / emmc.bytes_per_second(64 * kKiB), 1, 0.001);
  slower = 1 / emmc.hot;
  EXPECT_NEAR(rate_of(kMiB) / emmc.bytes_per_second(kMiB), emmc.hot, 0.001);
}

}  // namespace
}  // namespace potluck
