// Writing in place: on disk and in memory alike, and the faults that only memory can have.
#include <algorithm>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "engine/base/buffer.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "tests/support/temporary_directory.h"

namespace potluck {
namespace {

constexpr uint64_t kPage = 4096;

ByteVector seeded_bytes(uint64_t seed, size_t size) {
  ByteVector bytes(size);
  SeededEntropy(seed).fill(bytes);
  return bytes;
}

class AnyWritableFile : public ::testing::TestWithParam<std::tuple<bool, WriteMode>> {
 protected:
  AnyWritableFile() : path_(directory_ / "file") {
    if (std::get<0>(GetParam())) {
      storage_ = make_system_storage();
    } else {
      storage_ = std::make_unique<MemoryStorage>();
    }
    EXPECT_TRUE(storage_->make_directories(directory_.path()));
    file_ = reopen();
  }
  std::unique_ptr<WritableFile> reopen() {
    return storage_->open_writable(path_, std::get<1>(GetParam())).value();
  }
  ByteVector content() { return read_file(*storage_, path_, 16 * kMiB).value(); }

  test::TemporaryDirectory directory_;
  std::string path_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<WritableFile> file_;
};

INSTANTIATE_TEST_SUITE_P(Storage, AnyWritableFile,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(WriteMode::kBuffered,
                                                              WriteMode::kDirect)));

TEST_P(AnyWritableFile, IsCreatedEmptyAndKeepsItsContent) {
  EXPECT_EQ(file_->size(), 0u);
  ByteVector data = seeded_bytes(1, 2 * kPage);
  ASSERT_TRUE(file_->write_at(0, data));
  EXPECT_EQ(file_->size(), 2 * kPage);
  ASSERT_TRUE(file_->sync());
  file_ = reopen();
  EXPECT_EQ(file_->size(), 2 * kPage);
  EXPECT_EQ(content(), data);
}

TEST_P(AnyWritableFile, WritesInPlaceAndBeyondTheEnd) {
  ByteVector expected = seeded_bytes(2, 4 * kPage);
  ASSERT_TRUE(file_->write_at(0, expected));
  ByteVector middle = seeded_bytes(3, kPage);
  ASSERT_TRUE(file_->write_at(kPage, middle));
  std::copy(middle.begin(), middle.end(), expected.begin() + kPage);
  ASSERT_TRUE(file_->write_at(6 * kPage, middle));
  expected.resize(6 * kPage);
  expected.insert(expected.end(), middle.begin(), middle.end());
  EXPECT_EQ(content(), expected);
}

// Longer than the buffer through which unaligned memory is written.
TEST_P(AnyWritableFile, TakesMemoryOfAnyAlignment) {
  ByteVector data = seeded_bytes(4, 5 * kMiB + kPage);
  Buffer memory(data.size() + kPage);
  for (size_t shift : {size_t{0}, size_t{1}, size_t{8}}) {
    std::copy(data.begin(), data.end(), memory.data() + shift);
    ASSERT_TRUE(file_->write_at(0, memory.span().subspan(shift, data.size())));
    EXPECT_EQ(content(), data);
    std::reverse(data.begin(), data.end());
  }
}

TEST_P(AnyWritableFile, HolesReadAsZerosAndKeepTheSize) {
  ByteVector expected = seeded_bytes(5, 8 * kPage);
  ASSERT_TRUE(file_->write_at(0, expected));
  Status punched = file_->punch(2 * kPage, 3 * kPage);
  if (!punched && punched.error().code == ErrorCode::kUnsupported) {
    GTEST_SKIP() << "this file system has no holes";
  }
  ASSERT_TRUE(punched) << punched.error().message;
  std::fill_n(expected.begin() + 2 * kPage, 3 * kPage, std::byte{0});
  EXPECT_EQ(content(), expected);
  EXPECT_EQ(file_->size(), 8 * kPage);
}

TEST_P(AnyWritableFile, ReservesCutsAndLengthens) {
  ASSERT_TRUE(file_->allocate(0, 4 * kPage));
  ASSERT_TRUE(file_->write_at(0, seeded_bytes(6, kPage)));
  ASSERT_TRUE(file_->resize(kPage));
  EXPECT_EQ(content(), seeded_bytes(6, kPage));
  ASSERT_TRUE(file_->resize(3 * kPage));
  EXPECT_EQ(file_->size(), 3 * kPage);
  ByteVector expected = seeded_bytes(6, kPage);
  expected.resize(3 * kPage);
  EXPECT_EQ(content(), expected);
}

TEST_P(AnyWritableFile, ReadersSeeWhatIsAppendedAfterTheyOpened) {
  ASSERT_TRUE(file_->write_at(0, seeded_bytes(7, kPage)));
  auto reader = storage_->open(path_, ReadMode::kDirect).value();
  ByteVector later = seeded_bytes(8, 2 * kPage);
  ASSERT_TRUE(file_->write_at(kPage, later));
  Buffer memory(2 * kMiB);
  MutableByteSpan out = memory.span().first(2 * kPage);
  ASSERT_TRUE(reader->read_at(kPage, out));
  EXPECT_TRUE(std::equal(out.begin(), out.end(), later.begin()));
  EXPECT_FALSE(reader->read_at(2 * kPage, out)) << "not beyond what is there now";
}

TEST(WritableFileOnDisk, HolesGiveSpaceBack) {
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  auto file = storage->open_writable(directory / "file", WriteMode::kDirect).value();
  ASSERT_TRUE(file->write_at(0, seeded_bytes(1, 1 * kMiB)));
  ASSERT_TRUE(file->sync());
  struct stat before = {};
  ASSERT_EQ(::stat((directory / "file").c_str(), &before), 0);
  if (!file->punch(0, kMiB / 2)) GTEST_SKIP() << "this file system has no holes";
  struct stat after = {};
  ASSERT_EQ(::stat((directory / "file").c_str(), &after), 0);
  EXPECT_LE(after.st_blocks + static_cast<int64_t>(kMiB / 2 / 512), before.st_blocks);
}

TEST(WritableFileOnDisk, SomethingElseThanAFileIsRefused) {
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  EXPECT_FALSE(storage->open_writable(directory.path(), WriteMode::kBuffered));
  EXPECT_FALSE(storage->open_writable(directory / "no/such/file", WriteMode::kBuffered));
}

class MemoryFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ = storage_.open_writable("file", WriteMode::kDirect).value();
    ASSERT_TRUE(file_->write_at(0, old_));
    ASSERT_TRUE(file_->sync());
  }
  ByteVector content() { return read_file(storage_, "file", kMiB).value(); }

  MemoryStorage storage_;
  std::unique_ptr<WritableFile> file_;
  ByteVector old_ = seeded_bytes(1, 8 * kPage);
  ByteVector new_ = seeded_bytes(2, 8 * kPage);
};

TEST_F(MemoryFaults, AFullDiskTakesWhatFits) {
  storage_.set_capacity(10 * kPage);
  Status full = file_->write_at(8 * kPage, seeded_bytes(3, 3 * kPage));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kLimit);
  EXPECT_EQ(file_->size(), 10 * kPage);
  EXPECT_EQ(*storage_.free_bytes("."), 0u);
  EXPECT_TRUE(file_->write_at(0, new_)) << "in place it needs no more";
  EXPECT_EQ(file_->allocate(8 * kPage, 3 * kPage).error().code, ErrorCode::kLimit);
  ASSERT_TRUE(file_->punch(0, 4 * kPage));
  EXPECT_EQ(*storage_.free_bytes("."), 4 * kPage);
  EXPECT_TRUE(file_->allocate(0, 4 * kPage));
  EXPECT_EQ(*storage_.free_bytes("."), 0u);
}

TEST_F(MemoryFaults, APowerCutTearsWhatWasNotSynced) {
  bool any_old = false;
  bool any_new = false;
  ASSERT_TRUE(file_->write_at(0, new_));
  storage_.cut_power(5);
  ByteVector found = content();
  ASSERT_EQ(found.size(), old_.size());
  for (size_t page = 0; page < 8; ++page) {
    auto at = found.begin() + static_cast<ptrdiff_t>(page * kPage);
    bool is_old = std::equal(at, at + kPage, old_.begin() + (at - found.begin()));
    bool is_new = std::equal(at, at + kPage, new_.begin() + (at - found.begin()));
    ASSERT_NE(is_old, is_new) << "page " << page;
    any_old = any_old || is_old;
    any_new = any_new || is_new;
  }
  EXPECT_TRUE(any_old && any_new);
}

TEST_F(MemoryFaults, WhatWasSyncedSurvivesAPowerCut) {
  ASSERT_TRUE(file_->write_at(0, new_));
  ASSERT_TRUE(file_->sync());
  storage_.cut_power(5);
  EXPECT_EQ(content(), new_);
}

TEST_F(MemoryFaults, TheDeadDoNotWrite) {
  auto lock = storage_.lock("lock").value();
  ASSERT_TRUE(file_->write_at(0, new_));
  storage_.end_process();
  EXPECT_FALSE(file_->write_at(0, old_));
  EXPECT_FALSE(file_->sync());
  EXPECT_FALSE(file_->punch(0, kPage));
  EXPECT_FALSE(file_->resize(0));
  EXPECT_EQ(content(), new_) << "what the process wrote is there";
  auto next = storage_.lock("lock");
  ASSERT_TRUE(next);
  lock.reset();
  EXPECT_FALSE(storage_.lock("lock")) << "the dead one does not release the lock of the next";
}

}  // namespace
}  // namespace potluck
