#include "engine/experts/grain_store.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/base/buffer.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/grain_on_disk.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/engine/experts/crashing_storage.h"

namespace potluck {
namespace {

constexpr uint64_t kPage = 4096;

ByteVector make_grain(uint64_t seed, uint64_t bytes = 2 * kPage) {
  ByteVector grain(bytes);
  SeededEntropy(seed).fill(grain);
  return grain;
}

class GrainStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }

  void open(uint64_t quota = 1 * kMiB) {
    store_.reset();
    auto opened = GrainStore::open(storage_, "store", quota);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  Digest put(uint64_t seed) {
    ByteVector grain = make_grain(seed);
    Status status = store_->put(sha256(grain), grain);
    EXPECT_TRUE(status) << status.error().message;
    return sha256(grain);
  }
  std::optional<ErrorCode> read(const Digest& digest, uint64_t bytes = 2 * kPage) {
    ByteVector out(bytes);
    Status status = store_->read(digest, out);
    return status ? std::nullopt : std::optional(status.error().code);
  }

  test::GrainOnDisk place(const Digest& digest) {
    return *test::grain_on_disk(storage_, "store", digest);
  }
  void flip(const Digest& digest, uint64_t offset) {
    storage_.flip_bit(place(digest).path, place(digest).offset + offset);
  }
  uint64_t disk_used() { return UINT64_MAX - *storage_.free_bytes("store"); }

  MemoryStorage storage_;
  std::unique_ptr<GrainStore> store_;
};

TEST_F(GrainStoreTest, KeepsGrainsAcrossRestarts) {
  std::vector<Digest> digests;
  for (uint64_t seed = 0; seed < 20; ++seed) digests.push_back(put(seed));
  open();
  EXPECT_EQ(store_->count(), 20u);
  EXPECT_EQ(store_->used_bytes(), 40 * kPage);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ByteVector out(2 * kPage);
    ASSERT_TRUE(store_->contains(digests[seed]));
    ASSERT_TRUE(store_->read(digests[seed], out));
    EXPECT_EQ(out, make_grain(seed));
  }
}

TEST_F(GrainStoreTest, OneOwnerAtATime) {
  auto second = GrainStore::open(storage_, "store", 1 * kMiB);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kRefused);
  open();  // the first gives it back
}

TEST_F(GrainStoreTest, TakesOnlyWhatMatchesItsName) {
  ByteVector grain = make_grain(1);
  Status wrong = store_->put(sha256(make_grain(2)), grain);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  for (uint64_t bytes : {uint64_t{0}, uint64_t{1}, kPage - 1, kPage + 1}) {
    ByteVector odd = make_grain(3, bytes);
    Status status = store_->put(sha256(odd), odd);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(store_->count(), 0u);
}

TEST_F(GrainStoreTest, PuttingTwiceCountsOnce) {
  put(1);
  put(1);
  EXPECT_EQ(store_->used_bytes(), 2 * kPage);
  EXPECT_EQ(store_->count(), 1u);
}

TEST_F(GrainStoreTest, AlteredBitIsNoticedAndTheGrainForgotten) {
  for (uint64_t offset : {uint64_t{0}, kPage, 2 * kPage - 1}) {
    Digest digest = put(1);
    flip(digest, offset);
    EXPECT_EQ(read(digest), ErrorCode::kCorrupt);
    EXPECT_FALSE(store_->contains(digest));
    EXPECT_EQ(store_->used_bytes(), 0u);
    EXPECT_EQ(read(digest), ErrorCode::kNotFound);
    put(1);  // fetched again
    EXPECT_EQ(read(digest), std::nullopt);
    open();
    EXPECT_EQ(read(digest), std::nullopt) << "what is written last counts";
    store_->remove(digest);
  }
}

TEST_F(GrainStoreTest, EveryFlippedBitIsNoticed) {
  open(kGiB);  // what was found altered keeps its room
  Digest digest = put(1);
  for (uint64_t offset = 0; offset < 2 * kPage; offset += 61) {
    flip(digest, offset);
    EXPECT_EQ(read(digest), ErrorCode::kCorrupt) << offset;
    store_->remove(digest);
    put(1);
  }
}

TEST_F(GrainStoreTest, AlteredGrainIsNamedWithFileAndOffset) {
  put(1);
  Digest digest = put(2);
  flip(digest, 7);
  ByteVector out(2 * kPage);
  std::string message = store_->read(digest, out).error().message;
  EXPECT_NE(message.find("store/segments/000000.grains"), std::string::npos) << message;
  EXPECT_NE(message.find(" 8192"), std::string::npos) << message;
}

TEST_F(GrainStoreTest, PlacesOfGrainsPutInTurnAreAdjacent) {
  std::vector<GrainPlace> places;
  for (uint64_t seed = 0; seed < 10; ++seed) places.push_back(*store_->find(put(seed)));
  ByteVector all(20 * kPage);
  ASSERT_TRUE(places[0].file->read_at(places[0].offset, all));
  for (uint64_t seed = 0; seed < 10; ++seed) {
    EXPECT_EQ(places[seed].file, places[0].file);
    EXPECT_EQ(places[seed].offset, places[0].offset + seed * 2 * kPage);
    EXPECT_EQ(places[seed].bytes, 2 * kPage);
    ByteSpan grain = ByteSpan(all).subspan(seed * 2 * kPage, 2 * kPage);
    EXPECT_EQ(places[seed].checksum, grain_checksum(grain));
    EXPECT_TRUE(store_->verify(sha256(grain), grain));
  }
}

TEST_F(GrainStoreTest, APlaceWhoseGrainIsGoneIsNotVerified) {
  Digest digest = put(1);
  GrainPlace place = *store_->find(digest);
  store_->remove(digest);
  ByteVector out(2 * kPage);
  ASSERT_TRUE(place.file->read_at(place.offset, out)) << "the file stays open";
  EXPECT_EQ(store_->verify(digest, out).error().code, ErrorCode::kNotFound);
  put(2);
  put(1);
  EXPECT_EQ(store_->verify(digest, out).error().code, ErrorCode::kCorrupt);
}

TEST_F(GrainStoreTest, CutSegmentLosesWhatLayThere) {
  Digest first = put(1);
  Digest second = put(2);
  storage_.truncate(place(second).path, 3 * kPage);
  open();
  EXPECT_EQ(read(first), std::nullopt);
  EXPECT_FALSE(store_->contains(second));
  EXPECT_EQ(store_->used_bytes(), 2 * kPage);
  ASSERT_EQ(store_->take_notices().size(), 1u);
  open();
  EXPECT_TRUE(store_->take_notices().empty()) << "said once";
}

TEST_F(GrainStoreTest, MissingSegmentLosesItsGrains) {
  Digest digest = put(1);
  store_.reset();
  ASSERT_TRUE(storage_.remove("store/segments/000000.grains"));
  open();
  EXPECT_FALSE(store_->contains(digest));
  put(1);
  EXPECT_EQ(read(digest), std::nullopt);
}

TEST_F(GrainStoreTest, FailedReadKeepsTheGrain) {
  Digest digest = put(1);
  storage_.fail_reads(1);
  EXPECT_EQ(read(digest), ErrorCode::kIo);
  EXPECT_EQ(read(digest), std::nullopt);
}

// It is the asker who is wrong: the grain stays.
TEST_F(GrainStoreTest, AWrongLengthIsNoDamage) {
  Digest digest = put(1);
  EXPECT_EQ(read(digest, kPage), ErrorCode::kInvalidArgument);
  EXPECT_EQ(read(digest, 3 * kPage), ErrorCode::kInvalidArgument);
  Status verified = store_->verify(digest, make_grain(1, kPage));
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->quarantined_bytes(), 0u);
  EXPECT_TRUE(store_->take_lost().empty());
  EXPECT_TRUE(store_->contains(digest, 2 * kPage));
  EXPECT_FALSE(store_->contains(digest, kPage));
  EXPECT_EQ(read(digest), std::nullopt);
}

TEST_F(GrainStoreTest, TooManyOpenFilesAreNoDamage) {
  Digest digest = put(1);
  open();
  storage_.fail_opens(1);
  EXPECT_EQ(read(digest), ErrorCode::kLimit);
  EXPECT_EQ(read(digest), std::nullopt);
  EXPECT_EQ(store_->quarantined_bytes(), 0u);
}

// What cannot be used takes room all the same, until a scrub has given it back.
TEST_F(GrainStoreTest, QuarantineAndManifestsCountAgainstTheQuota) {
  open(8 * kPage);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    Digest digest = put(seed);
    flip(digest, 1);
    EXPECT_EQ(read(digest), ErrorCode::kCorrupt);
    EXPECT_EQ(store_->take_lost(), std::vector{digest});
  }
  EXPECT_EQ(store_->quarantined_bytes(), 6 * kPage);
  EXPECT_EQ(store_->room_bytes(), 2 * kPage);
  store_->set_other_bytes(kPage);
  ByteVector grain = make_grain(9);
  Status status = store_->put(sha256(grain), grain);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  store_->set_other_bytes(0);
  put(9);
  EXPECT_EQ(store_->room_bytes(), 0u);
  for (int round = 0; round < 2; ++round) {
    while (!store_->scrub(kMiB).round_complete) {
    }
  }
  EXPECT_EQ(store_->quarantined_bytes(), 0u);
  EXPECT_EQ(store_->used_bytes(), 2 * kPage);
}

TEST_F(GrainStoreTest, QuotaIsKept) {
  open(5 * kPage);
  put(1);
  Digest second = put(2);
  ByteVector third = make_grain(3);
  Status status = store_->put(sha256(third), third);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  EXPECT_LE(store_->used_bytes(), store_->quota_bytes());
  store_->remove(second);
  store_->remove(second);  // nothing happens
  EXPECT_TRUE(store_->put(sha256(third), third));
  EXPECT_EQ(store_->used_bytes(), 4 * kPage);
}

TEST_F(GrainStoreTest, LoweredQuotaKeepsGrainsAndTakesNoMore) {
  Digest digest = put(1);
  open(kPage);
  EXPECT_EQ(read(digest), std::nullopt);
  ByteVector grain = make_grain(2, kPage);
  Status status = store_->put(sha256(grain), grain);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
}

TEST_F(GrainStoreTest, FullDiskIsAnErrorAndChangesNothing) {
  put(1);
  storage_.set_capacity(limits::kDiskReserveBytes + 3 * kPage);
  ByteVector grain = make_grain(2);
  Status status = store_->put(sha256(grain), grain);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  EXPECT_EQ(store_->count(), 1u);
  storage_.set_capacity(UINT64_MAX);
  EXPECT_TRUE(store_->put(sha256(grain), grain));
}

TEST_F(GrainStoreTest, ADiskThatFillsWhileWritingIsAnError) {
  Digest first = put(1);
  // Space is checked before writing; here another process takes it in between.
  for (uint64_t left = 0; left < 2 * kPage + 64; left += 32) {
    test::ShrinkingDisk disk(storage_, disk_used() + left);
    store_.reset();
    auto opened = GrainStore::open(disk, "store", 1 * kMiB);
    ASSERT_TRUE(opened) << opened.error().message;
    ByteVector grain = make_grain(2);
    Status status = (*opened)->put(sha256(grain), grain);
    ASSERT_FALSE(status) << left;
    EXPECT_EQ(status.error().code, ErrorCode::kLimit);
    EXPECT_NE(status.error().message.find("8192"), std::string::npos) << status.error().message;
    EXPECT_EQ((*opened)->used_bytes(), 2 * kPage);
    storage_.set_capacity(UINT64_MAX);
    EXPECT_TRUE((*opened)->put(sha256(grain), grain)) << "the store stays usable";
    (*opened)->remove(sha256(grain));
    ByteVector out(2 * kPage);
    EXPECT_TRUE((*opened)->read(first, out));
  }
}

TEST_F(GrainStoreTest, RemovedGrainsGiveTheirSpaceBack) {
  std::vector<Digest> digests;
  for (uint64_t seed = 0; seed < 10; ++seed) digests.push_back(put(seed));
  uint64_t before = disk_used();
  for (size_t i = 1; i < 9; ++i) store_->remove(digests[i]);
  EXPECT_LE(disk_used() + 15 * kPage, before);  // the index has grown by as many entries
  EXPECT_EQ(read(digests[0]), std::nullopt);
  EXPECT_EQ(read(digests[9]), std::nullopt);
}

TEST_F(GrainStoreTest, EmptySegmentsAreDeletedWhenOpening) {
  store_->remove(put(1));
  open();
  EXPECT_FALSE(storage_.exists("store/segments/000000.grains"));
}

// Segments without an index are lengths and names that nothing knows any more. They go, but not in
// silence.
TEST_F(GrainStoreTest, WhatALostIndexCostsIsSaid) {
  EXPECT_TRUE(store_->take_notices().empty()) << "a new store has lost nothing";
  for (uint64_t seed = 0; seed < 3; ++seed) put(seed);
  store_.reset();
  for (bool damaged : {false, true}) {
    if (damaged) {
      storage_.truncate("store/index", 63);
    } else {
      ASSERT_TRUE(storage_.remove("store/index"));
    }
    open();
    EXPECT_EQ(store_->count(), 0u);
    std::vector<LogEvent> notices = store_->take_notices();
    ASSERT_FALSE(notices.empty());
    EXPECT_EQ(notices.back().level, LogLevel::kWarning);
    for (const char* part : {"24576 bytes", "store/segments/000000.grains", "index"}) {
      EXPECT_NE(notices.back().message.find(part), std::string::npos) << notices.back().message;
    }
    for (uint64_t seed = 0; seed < 3; ++seed) put(seed);
    store_.reset();
  }
}

TEST_F(GrainStoreTest, WhatWasRemovedIsNoLoss) {
  store_->remove(put(1));
  open();
  EXPECT_TRUE(store_->take_notices().empty());
}

// Holes as large as several grains are filled again, in order.
TEST_F(GrainStoreTest, SpaceIsUsedAgain) {
  constexpr uint64_t kBytes = 1 * kMiB;
  open(2 * kGiB);
  auto put_large = [&](uint64_t seed) {
    ByteVector grain = make_grain(seed, kBytes);
    EXPECT_TRUE(store_->put(sha256(grain), grain));
    return sha256(grain);
  };
  std::vector<Digest> digests;
  for (uint64_t seed = 0; seed < 12; ++seed) digests.push_back(put_large(seed));
  for (size_t i = 2; i < 10; ++i) store_->remove(digests[i]);
  // Claims the rest of the segment, so that the hole is what is left of it.
  {
    store_.reset();
    GrainRecords ignored;
    std::vector<LogEvent> notices;
    auto index = GrainIndex::open(storage_, "store/index", &ignored, &notices);
    auto file = storage_.open_writable("store/segments/000000.grains", WriteMode::kDirect);
    ASSERT_TRUE((*file)->resize(limits::kSegmentBytes / 16));
    for (uint64_t at = 12; at < 64; ++at) {
      GrainRecord record{{0, static_cast<uint32_t>(at * 256), 256}, 0, 0};
      ASSERT_TRUE((*index)->put(sha256(as_bytes(std::to_string(at))), &record));
    }
  }
  open(2 * kGiB);
  std::vector<GrainPlace> places;
  for (uint64_t seed = 20; seed < 28; ++seed) places.push_back(*store_->find(put_large(seed)));
  for (size_t i = 1; i < places.size(); ++i) {
    EXPECT_EQ(places[i].file, places[0].file);
    EXPECT_EQ(places[i].offset, places[i - 1].offset + kBytes);
  }
  for (uint64_t seed : {0, 1, 10, 11}) EXPECT_EQ(read(digests[seed], kBytes), std::nullopt);
}

TEST_F(GrainStoreTest, TornIndexIsCutOff) {
  std::vector<Digest> digests;
  for (uint64_t seed = 0; seed < 4; ++seed) digests.push_back(put(seed));
  for (uint64_t size : {255, 150, 70}) {
    store_.reset();
    storage_.truncate("store/index", size);
    open();
    EXPECT_EQ(store_->count(), size / 64);
    std::vector<LogEvent> notices = store_->take_notices();
    ASSERT_FALSE(notices.empty());
    EXPECT_NE(notices[0].message.find(fmt::format("last {} bytes", size % 64)), std::string::npos)
        << notices[0].message;
    for (size_t i = 0; i < size / 64; ++i) EXPECT_EQ(read(digests[i]), std::nullopt);
  }
}

// A damaged entry costs its own grain and no other.
TEST_F(GrainStoreTest, EveryBitOfTheIndexMayFlip) {
  std::vector<Digest> digests;
  for (uint64_t seed = 0; seed < 3; ++seed) digests.push_back(put(seed));
  for (uint64_t offset = 0; offset < 3 * 64; ++offset) {
    store_.reset();
    auto before = read_file(storage_, "store/index", kMiB);
    storage_.flip_bit("store/index", offset);
    open();
    for (size_t i = 0; i < 3; ++i) {
      bool kept = i != offset / 64;
      EXPECT_EQ(read(digests[i]), kept ? std::nullopt : std::optional(ErrorCode::kNotFound));
      if (!kept) put(i);
    }
    EXPECT_FALSE(store_->take_notices().empty());
    open();
    EXPECT_EQ(store_->count(), 3u);
    for (const Digest& digest : digests) ASSERT_EQ(read(digest), std::nullopt) << offset;
    for (const Digest& digest : digests) store_->remove(digest);
    store_.reset();
    ASSERT_TRUE(storage_.remove("store/index"));
    open();
    for (uint64_t seed = 0; seed < 3; ++seed) put(seed);
  }
}

// A lost "removed" entry: the grain claims pages that a later one has. The later one is right.
TEST_F(GrainStoreTest, OfTwoGrainsInOnePlaceTheLaterIsKept) {
  storage_.refuse_punching();
  put(0);
  Digest old = put(1);
  uint64_t offset = place(old).offset;
  Digest last = put(2);
  store_->remove(old);
  uint64_t entry = read_file(storage_, "store/index", kMiB)->size() - 64;
  store_.reset();
  storage_.flip_bit("store/index", entry);
  GrainRecords records = test::records_on_disk(storage_, "store");
  ASSERT_TRUE(records.contains(old));
  {
    std::vector<LogEvent> notices;
    GrainRecords ignored;
    auto index = GrainIndex::open(storage_, "store/index", &ignored, &notices);
    ByteVector grain = make_grain(7);
    auto file = storage_.open_writable("store/segments/000000.grains", WriteMode::kDirect);
    ASSERT_TRUE((*file)->write_at(offset, grain));
    GrainRecord record{records.at(old).run, 0, grain_checksum(grain)};
    ASSERT_TRUE((*index)->put(sha256(grain), &record));
  }
  open();
  EXPECT_FALSE(store_->contains(old));
  EXPECT_EQ(read(sha256(make_grain(7))), std::nullopt);
  EXPECT_EQ(read(last), std::nullopt);
  EXPECT_EQ(store_->used_bytes(), 6 * kPage);
}

TEST_F(GrainStoreTest, IndexIsTidiedWhenMostOfItIsDead) {
  Digest kept = put(1);
  for (uint64_t seed = 0; seed < 600; ++seed) store_->remove(put(100 + seed));
  EXPECT_GT(read_file(storage_, "store/index", kMiB)->size(), 1200u * 64);
  open();
  EXPECT_EQ(read_file(storage_, "store/index", kMiB)->size(), 64u);
  EXPECT_EQ(read(kept), std::nullopt);
  Digest later = put(2);
  open();
  EXPECT_EQ(read(kept), std::nullopt);
  EXPECT_EQ(read(later), std::nullopt);
}

// The number after the last one is none.
TEST_F(GrainStoreTest, ASegmentWithTheHighestNumberIsNotOurs) {
  Digest digest = put(1);
  store_.reset();
  ASSERT_TRUE(storage_.write_atomic("store/segments/4294967295.grains", ByteVector(kPage)));
  open();
  EXPECT_EQ(read(digest), std::nullopt);
  for (uint64_t seed = 2; seed < 10; ++seed) EXPECT_EQ(read(put(seed)), std::nullopt);
  EXPECT_TRUE(storage_.exists("store/segments/4294967295.grains"));
}

TEST_F(GrainStoreTest, ForeignFilesAreLeftAlone) {
  put(1);
  std::vector<std::string> foreign = {"store/segments/README", "store/segments/1.grains",
                                      "store/segments/000000.grains.bak", "store/photo"};
  for (const std::string& path : foreign) ASSERT_TRUE(storage_.write_atomic(path, make_grain(5)));
  open();
  EXPECT_EQ(store_->count(), 1u);
  for (const std::string& path : foreign) EXPECT_TRUE(storage_.exists(path)) << path;
}

// --- the scrub ---

TEST_F(GrainStoreTest, ScrubGoesRoundInSteps) {
  for (uint64_t seed = 0; seed < 5; ++seed) put(seed);
  uint64_t bytes = 0;
  int steps = 0;
  for (ScrubResult step; !step.round_complete; ++steps) {
    step = store_->scrub(1);
    bytes += step.bytes_read;
    EXPECT_TRUE(step.findings.empty());
    ASSERT_LE(step.bytes_read, 2 * kPage);
  }
  EXPECT_EQ(bytes, 10 * kPage);
  EXPECT_EQ(steps, 6);
  EXPECT_EQ(store_->scrub(1 * kMiB).bytes_read, 10 * kPage) << "and once more from the start";
}

TEST_F(GrainStoreTest, ScrubFindsWhatIsAlteredOrUnreadable) {
  std::vector<Digest> digests;
  for (uint64_t seed = 0; seed < 4; ++seed) digests.push_back(put(seed));
  flip(digests[1], 5000);
  storage_.fail_reads(1);
  ScrubResult found = store_->scrub(1 * kMiB);
  EXPECT_EQ(found.lost, std::vector{digests[1]}) << "a read that fails once is tried again";
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_FALSE(store_->contains(digests[1]));
  storage_.fail_reads(2);
  EXPECT_EQ(store_->scrub(1 * kMiB).lost, std::vector{digests[0]});
  EXPECT_EQ(store_->count(), 2u);
}

// Memory and descriptors come back; grains do not.
TEST_F(GrainStoreTest, ScrubKeepsWhatItHadNoMeansToRead) {
  Digest digest = put(1);
  store_.reset();
  test::FaultyStorage faulty(storage_);
  auto store = GrainStore::open(faulty, "store", 1 * kMiB);
  ASSERT_TRUE(store);
  faulty.fail_reads("segments", 2, 0, ErrorCode::kLimit);
  ScrubResult first = (*store)->scrub(1 * kMiB);
  EXPECT_TRUE(first.lost.empty());
  EXPECT_TRUE((*store)->contains(digest));
  EXPECT_EQ((*store)->quarantined_bytes(), 0u);
  faulty.heal();
  EXPECT_TRUE((*store)->scrub(1 * kMiB).lost.empty());
  ByteVector out(2 * kPage);
  EXPECT_TRUE((*store)->read(digest, out));
}

TEST_F(GrainStoreTest, ScrubFindsThatASegmentIsGone) {
  Digest digest = put(1);
  open();
  ASSERT_TRUE(storage_.remove("store/segments/000000.grains"));
  ScrubResult found = store_->scrub(1 * kMiB);
  EXPECT_EQ(found.lost, std::vector{digest});
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_FALSE(store_->contains(digest));
}

TEST_F(GrainStoreTest, PlacesOfAlteredGrainsGiveNoSpaceBackBeforeAScrub) {
  put(1);
  Digest digest = put(2);
  put(3);
  ASSERT_TRUE(store_->scrub(1 * kMiB).round_complete);
  flip(digest, 0);
  EXPECT_EQ(read(digest), ErrorCode::kCorrupt);
  uint64_t on_disk = disk_used();
  EXPECT_EQ(store_->used_bytes(), 4 * kPage);
  ASSERT_TRUE(store_->scrub(1 * kMiB).round_complete);
  EXPECT_EQ(disk_used(), on_disk) << "was altered during this round";
  ASSERT_TRUE(store_->scrub(1 * kMiB).round_complete);
  EXPECT_EQ(disk_used(), on_disk - 2 * kPage);
}

// The real file system, with direct reads where it allows them.
TEST(GrainStoreOnDisk, WritesReadsAndNotices) {
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  ByteVector grain = make_grain(1, 64 * kPage);
  Digest digest = sha256(grain);
  {
    auto store = GrainStore::open(*storage, directory / "store", 1 * kGiB);
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->put(digest, grain));
    auto second = GrainStore::open(*storage, directory / "store", 1 * kGiB);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kRefused);
  }
  auto store = GrainStore::open(*storage, directory / "store", 1 * kGiB);
  ASSERT_TRUE(store) << store.error().message;
  Buffer aligned(2 * kMiB);
  MutableByteSpan direct = aligned.span().first(grain.size());
  ASSERT_TRUE((*store)->read(digest, direct));
  EXPECT_TRUE(std::equal(direct.begin(), direct.end(), grain.begin()));
  MutableByteSpan unaligned = aligned.span().subspan(1, grain.size());
  ASSERT_TRUE((*store)->read(digest, unaligned));
  EXPECT_TRUE(std::equal(unaligned.begin(), unaligned.end(), grain.begin()));

  auto place = test::grain_on_disk(*storage, directory / "store", digest);
  ByteVector changed(grain.begin(), grain.begin() + kPage);
  changed[1234] ^= std::byte{4};
  auto file = storage->open_writable(place->path, WriteMode::kDirect);
  ASSERT_TRUE((*file)->write_at(place->offset, changed));
  Status status = (*store)->read(digest, direct);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
}

// Reader threads read places while the owner puts and removes other grains.
TEST(GrainStoreOnDisk, PlacesAreReadWhileOthersArePut) {
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  auto store = GrainStore::open(*storage, directory / "store", 1 * kGiB).value();
  constexpr uint64_t kBytes = 16 * kPage;
  std::vector<GrainPlace> places;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    ByteVector grain = make_grain(seed, kBytes);
    ASSERT_TRUE(store->put(sha256(grain), grain));
    places.push_back(store->find(sha256(grain)).value());
  }
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      Buffer memory(2 * kMiB);
      MutableByteSpan out = memory.span().first(kBytes);
      while (!stop) {
        for (const GrainPlace& place : places) {
          bool right =
              place.file->read_at(place.offset, out) && grain_checksum(out) == place.checksum;
          if (!right) ++wrong;
        }
      }
    });
  }
  for (uint64_t seed = 100; seed < 300; ++seed) {
    ByteVector grain = make_grain(seed, kBytes);
    EXPECT_TRUE(store->put(sha256(grain), grain));
    if (seed % 3 == 0) store->remove(sha256(grain));
    EXPECT_TRUE(seed % 50 != 0 || store->flush());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace potluck
