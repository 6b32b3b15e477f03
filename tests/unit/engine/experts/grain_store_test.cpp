#include "engine/experts/grain_store.h"

#include <optional>

#include <gtest/gtest.h>

#include "engine/base/buffer.h"
#include "engine/base/memory_storage.h"
#include "tests/support/temporary_directory.h"

namespace potluck {
namespace {

constexpr uint64_t kPage = 4096;

ByteVector make_grain(uint64_t seed, uint64_t bytes = 2 * kPage) {
  ByteVector grain(bytes);
  SeededEntropy(seed).fill(grain);
  return grain;
}

std::string path_of(const Digest& digest) {
  return "store/grains/" + digest.hex().substr(0, 2) + "/" + digest.hex();
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

TEST_F(GrainStoreTest, AlteredBitIsNoticedAndTheGrainRemoved) {
  for (uint64_t offset : {uint64_t{0}, kPage, 2 * kPage - 1}) {
    Digest digest = put(1);
    storage_.flip_bit(path_of(digest), offset);
    EXPECT_EQ(read(digest), ErrorCode::kCorrupt);
    EXPECT_FALSE(store_->contains(digest));
    EXPECT_FALSE(storage_.exists(path_of(digest)));
    EXPECT_EQ(store_->used_bytes(), 0u);
    EXPECT_EQ(read(digest), ErrorCode::kNotFound);
    put(1);  // fetched again
    EXPECT_EQ(read(digest), std::nullopt);
    store_->remove(digest);
  }
}

TEST_F(GrainStoreTest, ShortenedFileIsNoticed) {
  Digest digest = put(1);
  storage_.truncate(path_of(digest), kPage);
  EXPECT_EQ(read(digest), ErrorCode::kCorrupt);
  EXPECT_FALSE(store_->contains(digest));
  EXPECT_FALSE(storage_.exists(path_of(digest)));
}

TEST_F(GrainStoreTest, VanishedFileIsNoticed) {
  Digest digest = put(1);
  ASSERT_TRUE(storage_.remove(path_of(digest)));
  EXPECT_EQ(read(digest), ErrorCode::kNotFound);
  EXPECT_FALSE(store_->contains(digest));
  EXPECT_EQ(store_->used_bytes(), 0u);
}

TEST_F(GrainStoreTest, FailedReadKeepsTheGrain) {
  Digest digest = put(1);
  storage_.fail_reads(1);
  EXPECT_EQ(read(digest), ErrorCode::kIo);
  EXPECT_EQ(read(digest), std::nullopt);
}

TEST_F(GrainStoreTest, WrongLengthAskedIsNotAMatch) {
  Digest digest = put(1);
  EXPECT_EQ(read(digest, 3 * kPage), ErrorCode::kCorrupt);
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
  storage_.set_capacity(3 * kPage);
  ByteVector grain = make_grain(2);
  Status status = store_->put(sha256(grain), grain);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  EXPECT_EQ(store_->count(), 1u);
  storage_.set_capacity(UINT64_MAX);
  EXPECT_TRUE(store_->put(sha256(grain), grain));
}

TEST_F(GrainStoreTest, LeftoversOfInterruptedWritesAreRemoved) {
  Digest digest = put(1);
  std::string leftover = path_of(digest) + ".tmp.a1B2c3";
  ByteVector half = make_grain(9, kPage);
  ASSERT_TRUE(storage_.write_atomic(leftover, half));
  open();
  EXPECT_FALSE(storage_.exists(leftover));
  EXPECT_EQ(store_->count(), 1u);
  EXPECT_EQ(read(digest), std::nullopt);
}

TEST_F(GrainStoreTest, FilesOfImpossibleSizeAreRemovedWhenOpening) {
  Digest digest = put(1);
  storage_.truncate(path_of(digest), kPage + 17);
  Digest empty = put(2);
  storage_.truncate(path_of(empty), 0);
  open();
  EXPECT_EQ(store_->count(), 0u);
  EXPECT_EQ(store_->used_bytes(), 0u);
  EXPECT_FALSE(storage_.exists(path_of(digest)));
}

TEST_F(GrainStoreTest, ForeignFilesAreLeftAlone) {
  Digest digest = put(1);
  std::string shelf = "store/grains/" + digest.hex().substr(0, 2);
  std::string other = digest.hex().substr(0, 2) == "00" ? "11" : "00";
  std::string misplaced = "store/grains/" + other + "/" + digest.hex();
  ASSERT_TRUE(storage_.make_directories("store/grains/" + other));
  std::vector<std::string> foreign = {shelf + "/README", shelf + "/notes.tmp.1", misplaced};
  for (const std::string& path : foreign) {
    ASSERT_TRUE(storage_.write_atomic(path, make_grain(5)));
  }
  ASSERT_TRUE(storage_.make_directories("store/grains/photos"));
  open();
  EXPECT_EQ(store_->count(), 1u);
  for (const std::string& path : foreign) EXPECT_TRUE(storage_.exists(path)) << path;
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

  std::string path = directory / ("store/grains/" + digest.hex().substr(0, 2) + "/" + digest.hex());
  ByteVector changed = grain;
  changed[12345] ^= std::byte{4};
  ASSERT_TRUE(storage->write_atomic(path, changed));
  Status status = (*store)->read(digest, direct);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(storage->exists(path));
}

}  // namespace
}  // namespace potluck
