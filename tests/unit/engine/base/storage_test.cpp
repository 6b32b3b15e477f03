#include "engine/base/storage.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/buffer.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "tests/support/temporary_directory.h"

namespace potluck {
namespace {

ByteVector random_bytes(size_t size) {
  ByteVector bytes(size);
  SeededEntropy(size).fill(bytes);
  return bytes;
}

ByteVector bytes_of(std::string_view text) {
  ByteSpan bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

std::string content(Storage& storage, const std::string& path) {
  auto bytes = read_file(storage, path, kMiB);
  return bytes ? std::string(as_text(*bytes)) : "error: " + bytes.error().message;
}

// What every storage must do, in memory and on disk.
class AnyStorage : public ::testing::TestWithParam<bool> {
 protected:
  AnyStorage() {
    if (GetParam()) {
      storage_ = make_system_storage();
    } else {
      storage_ = std::make_unique<MemoryStorage>();
    }
    EXPECT_TRUE(storage_->make_directories(directory_.path()).ok());
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<Storage> storage_;
};

INSTANTIATE_TEST_SUITE_P(Storage, AnyStorage, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "System" : "Memory";
});

TEST_P(AnyStorage, ReadsBackWhatWasWritten) {
  ByteVector data = random_bytes(10'000);
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, data).ok());
  auto file = storage_->open(path, ReadMode::kBuffered);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->size(), data.size());
  EXPECT_EQ((*file)->direct_alignment(), 1u);
  ByteVector part(777);
  ASSERT_TRUE((*file)->read_at(1234, part).ok());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), data.begin() + 1234));
  auto whole = read_file(*storage_, path, data.size());
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(*whole, data);
}

TEST_P(AnyStorage, RefusesToReadPastTheEnd) {
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, random_bytes(100)).ok());
  auto file = storage_->open(path, ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  ByteVector out(10);
  EXPECT_TRUE((*file)->read_at(90, out).ok());
  EXPECT_EQ((*file)->read_at(91, out).error().code, ErrorCode::kIo);
  EXPECT_EQ((*file)->read_at(UINT64_MAX - 5, out).error().code, ErrorCode::kIo);
  EXPECT_TRUE((*file)->read_at(100, {}).ok());
}

TEST_P(AnyStorage, ScattersOneReadOverManyParts) {
  ByteVector data = random_bytes(500);
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, data).ok());
  auto file = storage_->open(path, ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  ByteVector out(40 * 7);
  std::vector<MutableByteSpan> parts;
  for (size_t i = 0; i < 40; ++i) parts.push_back(MutableByteSpan(out).subspan((39 - i) * 7, 7));
  ASSERT_TRUE((*file)->read_parts_at(33, parts).ok());
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_TRUE(std::equal(parts[i].begin(), parts[i].end(), data.begin() + 33 + 7 * i)) << i;
  }
  EXPECT_EQ((*file)->read_parts_at(221, parts).error().code, ErrorCode::kIo) << "one byte too far";
  EXPECT_TRUE((*file)->read_parts_at(220, parts).ok());
}

TEST_P(AnyStorage, HoldsEmptyFiles) {
  std::string path = directory_ / "empty";
  ASSERT_TRUE(storage_->write_atomic(path, {}).ok());
  EXPECT_TRUE(storage_->exists(path));
  EXPECT_EQ(content(*storage_, path), "");
}

TEST_P(AnyStorage, ReadsWholeFilesOnlyUpToTheLimit) {
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, random_bytes(100)).ok());
  EXPECT_TRUE(read_file(*storage_, path, 100).ok());
  auto larger = read_file(*storage_, path, 99);
  ASSERT_FALSE(larger.ok());
  EXPECT_EQ(larger.error().code, ErrorCode::kLimit);
  EXPECT_NE(larger.error().message.find(path), std::string::npos);
}

TEST_P(AnyStorage, ReplacesAFileWhileReadersKeepTheOldOne) {
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, as_bytes("before")).ok());
  auto old_file = storage_->open(path, ReadMode::kBuffered);
  ASSERT_TRUE(old_file.ok());
  ASSERT_TRUE(storage_->write_atomic(path, as_bytes("now longer")).ok());
  EXPECT_EQ(content(*storage_, path), "now longer");
  ByteVector old_content(6);
  ASSERT_TRUE((*old_file)->read_at(0, old_content).ok());
  EXPECT_EQ(as_text(old_content), "before");
  auto names = storage_->list(directory_.path());
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(*names, std::vector<std::string>{"file"}) << "a temporary file was left behind";
}

TEST_P(AnyStorage, NamesWhatIsMissing) {
  std::string path = directory_ / "nothing";
  EXPECT_FALSE(storage_->exists(path));
  auto file = storage_->open(path, ReadMode::kBuffered);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_NE(file.error().message.find(path), std::string::npos);
  EXPECT_EQ(storage_->open(path, ReadMode::kDirect).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(storage_->remove(path).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(storage_->list(path).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(storage_->free_bytes(path).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(storage_->write_atomic(path + "/file", {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(storage_->lock(path + "/lock").error().code, ErrorCode::kNotFound);
}

TEST_P(AnyStorage, MakesListsAndRemoves) {
  ASSERT_TRUE(storage_->make_directories(directory_ / "a/b/c").ok());
  ASSERT_TRUE(storage_->make_directories(directory_ / "a/b/c").ok()) << "twice is fine";
  for (const char* name : {"a/zebra", "a/ant", "a/b/deep"}) {
    ASSERT_TRUE(storage_->write_atomic(directory_ / name, as_bytes("x")).ok());
  }
  EXPECT_EQ(*storage_->list(directory_ / "a"), (std::vector<std::string>{"ant", "b", "zebra"}));
  EXPECT_EQ(*storage_->list(directory_ / "a/"), (std::vector<std::string>{"ant", "b", "zebra"}));
  EXPECT_TRUE(storage_->exists(directory_ / "a/b"));
  ASSERT_TRUE(storage_->remove(directory_ / "a/ant").ok());
  EXPECT_FALSE(storage_->exists(directory_ / "a/ant"));
  EXPECT_EQ(*storage_->list(directory_ / "a"), (std::vector<std::string>{"b", "zebra"}));
  EXPECT_TRUE(storage_->list(directory_ / "a/b/c")->empty());
}

TEST_P(AnyStorage, KeepsFilesAndDirectoriesApart) {
  ASSERT_TRUE(storage_->make_directories(directory_ / "d").ok());
  ASSERT_TRUE(storage_->write_atomic(directory_ / "f", as_bytes("x")).ok());
  EXPECT_FALSE(storage_->make_directories(directory_ / "f").ok());
  EXPECT_FALSE(storage_->make_directories(directory_ / "f/below").ok());
  EXPECT_FALSE(storage_->write_atomic(directory_ / "d", as_bytes("x")).ok());
  EXPECT_FALSE(storage_->open(directory_ / "d", ReadMode::kBuffered).ok());
  EXPECT_FALSE(storage_->remove(directory_ / "d").ok());
  EXPECT_EQ(*storage_->list(directory_.path()), (std::vector<std::string>{"d", "f"}));
}

TEST_P(AnyStorage, TellsTheFreeSpace) {
  auto bytes = storage_->free_bytes(directory_.path());
  ASSERT_TRUE(bytes.ok());
  EXPECT_GT(*bytes, 0u);
}

TEST_P(AnyStorage, LocksOutEverybodyElse) {
  std::string path = directory_ / "lock";
  {
    auto lock = storage_->lock(path);
    ASSERT_TRUE(lock.ok()) << lock.error().message;
    auto second = storage_->lock(path);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::kRefused);
    EXPECT_NE(second.error().message.find(path), std::string::npos);
  }
  EXPECT_TRUE(storage_->lock(path).ok()) << "released with its owner";
}

TEST(SystemLocks, SayWhoHoldsThem) {
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  std::string path = directory / "lock";
  auto lock = storage->lock(path);
  ASSERT_TRUE(lock.ok());
  auto second = storage->lock(path);
  ASSERT_FALSE(second.ok());
  std::string expected = path + ": process " + std::to_string(getpid()) + " holds it since 20";
  EXPECT_TRUE(second.error().message.starts_with(expected)) << second.error().message;
  EXPECT_NE(second.error().message.find("end that process or use another directory"),
            std::string::npos);
  // Regardless of what the file contains.
  for (std::string_view content : {"", "\n", "-5\n", "99999999999999999999\n", "x\x1b[31m\n"}) {
    std::ofstream(path) << content;
    second = storage->lock(path);
    ASSERT_FALSE(second.ok());
    EXPECT_NE(second.error().message.find("another process holds it;"), std::string::npos)
        << second.error().message;
  }
}

TEST_P(AnyStorage, ReadsFromSeveralThreadsAtOnce) {
  ByteVector data = random_bytes(64 * kKiB);
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, data).ok());
  auto file = storage_->open(path, ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  std::array<bool, 4> equal{};
  std::vector<std::thread> readers;
  for (size_t reader = 0; reader < equal.size(); ++reader) {
    readers.emplace_back([&, reader] {
      bool same = true;
      ByteVector out(1000);
      for (uint64_t at = reader * 100; at + out.size() <= data.size(); at += 999) {
        same = same && (*file)->read_at(at, out).ok() &&
               std::equal(out.begin(), out.end(), data.begin() + static_cast<ptrdiff_t>(at));
      }
      equal[reader] = same;
    });
  }
  for (std::thread& reader : readers) reader.join();
  for (bool same : equal) EXPECT_TRUE(same);
}

TEST_P(AnyStorage, NeverShowsHalfAFileToReaders) {
  std::string path = directory_ / "file";
  ByteVector versions[2] = {ByteVector(5000, std::byte{1}), ByteVector(70'000, std::byte{2})};
  ASSERT_TRUE(storage_->write_atomic(path, versions[0]).ok());
  std::thread writer([&] {
    for (int i = 0; i < 30; ++i) (void)storage_->write_atomic(path, versions[i % 2]);
  });
  for (int i = 0; i < 100; ++i) {
    auto seen = read_file(*storage_, path, kMiB);
    EXPECT_TRUE(seen.ok() && (*seen == versions[0] || *seen == versions[1]));
  }
  writer.join();
}

// What only a disk shows.
class SystemStorage : public ::testing::Test {
 protected:
  // Reads like a direct file wants it and compares with the data that were written.
  void expect_direct_read(const ReadableFile& file, uint64_t offset, uint64_t length,
                          const ByteVector& data) {
    SCOPED_TRACE(testing::Message() << length << " bytes at " << offset);
    Buffer buffer(2 * kMiB);  // aligned for any direct read
    ASSERT_TRUE(file.read_at(offset, buffer.span().first(length)).ok());
    uint64_t end = std::min<uint64_t>(offset + length, data.size());
    EXPECT_TRUE(std::equal(data.begin() + static_cast<ptrdiff_t>(offset),
                           data.begin() + static_cast<ptrdiff_t>(end), buffer.data()));
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<Storage> storage_ = make_system_storage();
};

TEST_F(SystemStorage, ReadsDirectFilesUpToTheBlockThatHoldsTheEnd) {
  ByteVector data = random_bytes(3 * 4096 + 123);
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, data).ok());
  auto file = storage_->open(path, ReadMode::kDirect);
  ASSERT_TRUE(file.ok()) << file.error().message;
  uint64_t alignment = (*file)->direct_alignment();
  EXPECT_EQ((*file)->size(), data.size());
  if (alignment == 1) GTEST_SKIP() << "no direct reads on this file system";
  ASSERT_EQ(alignment, 4096u);
  expect_direct_read(**file, 0, 4096, data);
  expect_direct_read(**file, 4096, 8192, data);
  expect_direct_read(**file, 0, 4 * 4096, data);
  expect_direct_read(**file, 3 * 4096, 4096, data);
  Buffer buffer(2 * kMiB);
  EXPECT_TRUE((*file)->read_at(4 * 4096, {}).ok());
  EXPECT_FALSE((*file)->read_at(0, buffer.span().first(5 * 4096)).ok());
  EXPECT_FALSE((*file)->read_at(4 * 4096, buffer.span().first(4096)).ok());
}

TEST_F(SystemStorage, FallsBackWhereDirectReadsAreRefused) {
  auto file = storage_->open("/proc/version", ReadMode::kDirect);
  if (!file.ok()) GTEST_SKIP() << "no /proc here: " << file.error().message;
  EXPECT_EQ((*file)->direct_alignment(), 1u);
}

TEST_F(SystemStorage, WritesOneFileThatOthersRead) {
  ByteVector data = random_bytes(5000);
  std::string path = directory_ / "file";
  ASSERT_TRUE(storage_->write_atomic(path, data, 0600).ok());
  std::ifstream stream(path, std::ios::binary);
  std::string seen((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  EXPECT_EQ(bytes_of(seen), data);
  struct stat status = {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  ASSERT_TRUE(storage_->write_atomic(path, data, 0644).ok());
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0644u);
}

TEST_F(SystemStorage, NoticesAFileThatShrank) {
  ByteVector data = random_bytes(20'000);
  std::string path = directory_ / "file";
  for (ReadMode mode : {ReadMode::kBuffered, ReadMode::kDirect}) {
    ASSERT_TRUE(storage_->write_atomic(path, data).ok());
    auto file = storage_->open(path, mode);
    ASSERT_TRUE(file.ok());
    std::filesystem::resize_file(path, 9000);
    Buffer buffer(2 * kMiB);
    EXPECT_TRUE((*file)->read_at(0, buffer.span().first(8192)).ok());
    Status beyond = (*file)->read_at(0, buffer.span().first(16'384));
    ASSERT_FALSE(beyond.ok());
    EXPECT_EQ(beyond.error().code, ErrorCode::kIo);
    EXPECT_NE(beyond.error().message.find(path), std::string::npos);
  }
}

TEST_F(SystemStorage, OpensNothingButFiles) {
  EXPECT_FALSE(storage_->open(directory_.path(), ReadMode::kBuffered).ok());
  EXPECT_FALSE(storage_->open("/dev/null", ReadMode::kBuffered).ok());
  std::string pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(storage_->open(pipe, ReadMode::kBuffered).ok())
      << "and without waiting for a writer";
}

TEST_F(SystemStorage, LocksAcrossStorages) {
  auto other = make_system_storage();
  auto lock = storage_->lock(directory_ / "lock");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(other->lock(directory_ / "lock").error().code, ErrorCode::kRefused);
  lock->reset();
  EXPECT_TRUE(other->lock(directory_ / "lock").ok());
}

}  // namespace
}  // namespace potluck
