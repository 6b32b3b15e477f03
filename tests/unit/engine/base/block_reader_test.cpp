#include "engine/base/block_reader.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <latch>

#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/base/buffer.h"
#include "engine/base/limits.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/temporary_directory.h"

namespace potluck {
namespace {

// A file whose bytes arrive when the test says so: reads of it stay at the "device" until then.
class PipeFile final : public ReadableFile {
 public:
  explicit PipeFile(uint64_t size) : size_(size) { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~PipeFile() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  void arrive(std::string_view bytes) {
    EXPECT_EQ(::write(ends_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  uint64_t size() const override { return size_; }
  uint64_t direct_alignment() const override { return 1; }
  int descriptor() const override { return ends_[0]; }
  Status read_at(uint64_t /*offset*/, MutableByteSpan out) const override {
    while (!out.empty()) {
      ssize_t got = ::read(ends_[0], out.data(), out.size());
      if (got <= 0) return Error{ErrorCode::kIo, "pipe: ended"};
      out = out.subspan(static_cast<size_t>(got));
    }
    return {};
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  uint64_t size_;
};

ByteVector random_blocks(size_t size) {
  ByteVector bytes(size);
  SeededEntropy(size).fill(bytes);
  return bytes;
}

class AnyBlockReader : public ::testing::TestWithParam<ReaderChoice> {
 protected:
  void open(uint32_t depth) {
    auto reader = open_block_reader(GetParam(), depth, clock_);
    if (!reader && GetParam() == ReaderChoice::kUring) {
      GTEST_SKIP() << "no io_uring here: " << reader.error().message;
    }
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    reader_ = std::move(*reader);
  }

  // The tags of `count` reads in the order in which they were done; all must have succeeded.
  std::vector<uint64_t> collect(size_t count) {
    std::vector<BlockReadDone> done;
    while (done.size() < count && reader_->outstanding() > 0) reader_->collect(&done, true);
    std::vector<uint64_t> tags;
    for (const BlockReadDone& read : done) {
      EXPECT_TRUE(read.status.ok()) << read.status.error().message;
      tags.push_back(read.tag);
    }
    return tags;
  }

  SystemClock clock_;
  std::unique_ptr<BlockReader> reader_;
};

INSTANTIATE_TEST_SUITE_P(BlockReader, AnyBlockReader,
                         ::testing::Values(ReaderChoice::kThreads, ReaderChoice::kUring),
                         [](const auto& parameter) {
                           return parameter.param == ReaderChoice::kThreads ? "Threads" : "Uring";
                         });

// Random reads of 1 to 3 parts each, at any alignment the file asks for, compared with `data`.
struct ScatteredReads {
  static constexpr uint64_t kMostBytes = 96 * kKiB;

  ScatteredReads(const ReadableFile& file, size_t count) : memory(count * kMostBytes + 2 * kMiB) {
    uint64_t grid = file.direct_alignment();
    uint64_t readable = round_up(file.size(), grid);
    SeededEntropy entropy(count);
    auto random = [&](uint64_t bound) {
      uint64_t value;
      entropy.fill(std::as_writable_bytes(std::span(&value, 1)));
      return value % bound;
    };
    for (size_t i = 0; i < count; ++i) {
      BlockRead read{.file = &file, .tag = 1000 + i, .prefetch = random(2) == 1};
      MutableByteSpan space = memory.span().subspan(i * kMostBytes, kMostBytes);
      for (uint64_t parts = 1 + random(3); parts > 0; --parts) {
        uint64_t bytes = (1 + random(32 * kKiB / grid)) * grid;
        read.parts.push_back(space.first(bytes));
        space = space.subspan(bytes);
      }
      read.offset = random((readable - read.parts.bytes()) / grid + 1) * grid;
      reads.push_back(read);
    }
  }

  bool filled(const BlockRead& read, const ByteVector& data) const {
    uint64_t offset = read.offset;
    for (MutableByteSpan part : read.parts.span()) {
      uint64_t bytes = std::min<uint64_t>(part.size(), data.size() - offset);
      if (!std::equal(part.begin(), part.begin() + static_cast<ptrdiff_t>(bytes),
                      data.begin() + static_cast<ptrdiff_t>(offset))) {
        return false;
      }
      offset += bytes;
    }
    return true;
  }

  Buffer memory;
  std::vector<BlockRead> reads;
};

TEST_P(AnyBlockReader, ReadsWhatTheFilesHold) {
  open(4);
  if (reader_ == nullptr) return;
  ByteVector data = random_blocks(kMiB + 12345);
  test::TemporaryDirectory directory;
  auto disk = make_system_storage();
  MemoryStorage memory;
  ASSERT_TRUE(disk->write_atomic(directory / "file", data).ok());
  ASSERT_TRUE(memory.write_atomic("file", data).ok());
  std::vector<std::unique_ptr<ReadableFile>> files;
  files.push_back(std::move(*disk->open(directory / "file", ReadMode::kDirect)));
  files.push_back(std::move(*disk->open(directory / "file", ReadMode::kBuffered)));
  files.push_back(std::move(*memory.open("file", ReadMode::kDirect)));
  for (const auto& file : files) {
    ScatteredReads scattered(*file, 50);
    reader_->submit(scattered.reads);
    EXPECT_EQ(reader_->outstanding(), 50u);
    std::vector<uint64_t> tags = collect(50);
    EXPECT_EQ(reader_->outstanding(), 0u);
    std::sort(tags.begin(), tags.end());
    ASSERT_EQ(tags.size(), 50u);
    for (size_t i = 0; i < tags.size(); ++i) {
      EXPECT_EQ(tags[i], 1000 + i);
      EXPECT_TRUE(scattered.filled(scattered.reads[i], data)) << "read " << i;
    }
  }
}

TEST_P(AnyBlockReader, ServesDemandFirstAndPromotes) {
  open(1);
  if (reader_ == nullptr) return;
  std::array<std::byte, 6> memory{};
  std::vector<std::unique_ptr<PipeFile>> pipes;
  std::vector<BlockRead> reads;
  for (size_t i = 0; i < memory.size(); ++i) {
    pipes.push_back(std::make_unique<PipeFile>(1));
    reads.push_back({.file = pipes.back().get(),
                     .parts = MutableByteSpan(memory).subspan(i, 1),
                     .tag = i,
                     .prefetch = i == 1 || i == 3 || i == 4});
  }
  reader_->submit(std::span(reads).first(1));
  reader_->submit(std::span(reads).subspan(1));
  reader_->promote(4);
  reader_->promote(4);   // once more changes nothing
  reader_->promote(99);  // nor does an unknown one
  std::vector<BlockReadDone> early;
  reader_->collect(&early, false);
  EXPECT_TRUE(early.empty());
  for (size_t i = pipes.size(); i > 0; --i) pipes[i - 1]->arrive("x");
  EXPECT_EQ(collect(6), (std::vector<uint64_t>{0, 2, 5, 4, 1, 3}));
}

TEST_P(AnyBlockReader, KeepsToItsDepth) {
  open(2);
  if (reader_ == nullptr) return;
  EXPECT_EQ(reader_->depth(), 2u);
  std::array<std::byte, 5> memory{};
  std::vector<std::unique_ptr<PipeFile>> pipes;
  std::vector<BlockRead> reads;
  for (size_t i = 0; i < memory.size(); ++i) {
    pipes.push_back(std::make_unique<PipeFile>(1));
    MutableByteSpan part = MutableByteSpan(memory).subspan(i, 1);
    reads.push_back({.file = pipes.back().get(), .parts = part, .tag = i});
  }
  for (size_t i = 2; i < memory.size(); ++i) pipes[i]->arrive("x");
  reader_->submit(reads);
  std::vector<BlockReadDone> early;
  reader_->collect(&early, false);
  EXPECT_TRUE(early.empty()) << "both places are taken by reads that wait";
  pipes[1]->arrive("x");
  EXPECT_EQ(collect(4), (std::vector<uint64_t>{1, 2, 3, 4})) << "one place serves the others";
  pipes[0]->arrive("x");
  EXPECT_EQ(collect(1), (std::vector<uint64_t>{0}));
}

TEST_P(AnyBlockReader, GoesOnAfterShortReads) {
  open(1);
  if (reader_ == nullptr) return;
  PipeFile pipe(10);
  std::array<std::byte, 10> memory{};
  BlockRead read{.file = &pipe, .tag = 7};
  read.parts.push_back(MutableByteSpan(memory).first(3));
  read.parts.push_back(MutableByteSpan(memory).subspan(3, 7));
  reader_->submit({&read, 1});
  std::vector<BlockReadDone> early;
  for (std::string_view bytes : {"01", "2345", "678"}) {
    pipe.arrive(bytes);
    reader_->collect(&early, false);
  }
  EXPECT_TRUE(early.empty());
  pipe.arrive("9");
  EXPECT_EQ(collect(1), std::vector<uint64_t>{7});
  EXPECT_EQ(as_text(memory), "0123456789");
}

TEST_P(AnyBlockReader, ReportsEachErrorUnderItsTag) {
  open(3);
  if (reader_ == nullptr) return;
  MemoryStorage under;
  test::FaultyStorage storage(under);
  ASSERT_TRUE(storage.write_atomic("good", ByteVector(100, std::byte{1})).ok());
  ASSERT_TRUE(storage.write_atomic("bad", ByteVector(100, std::byte{2})).ok());
  storage.fail_reads("bad", 1);
  auto good = storage.open("good", ReadMode::kDirect);
  auto bad = storage.open("bad", ReadMode::kDirect);
  ByteVector memory(50);
  MutableByteSpan part(memory);
  std::vector<BlockRead> reads = {
      {.file = good->get(), .offset = 0, .parts = part.first(10), .tag = 1},
      {.file = bad->get(), .offset = 0, .parts = part.subspan(10, 10), .tag = 2},
      {.file = good->get(), .offset = 95, .parts = part.subspan(20, 10), .tag = 3},
      {.file = good->get(), .offset = 20, .parts = part.subspan(30, 10), .tag = 4},
  };
  reader_->submit(reads);
  std::vector<BlockReadDone> done;
  while (reader_->outstanding() > 0) reader_->collect(&done, true);
  ASSERT_EQ(done.size(), 4u);
  for (const BlockReadDone& read : done) {
    SCOPED_TRACE(read.tag);
    EXPECT_EQ(read.status.ok(), read.tag == 1 || read.tag == 4);
    if (read.status.ok()) continue;
    const char* file = read.tag == 2 ? "bad" : "good";
    EXPECT_NE(read.status.error().message.find(file), std::string::npos);
  }
  EXPECT_EQ(memory[39], std::byte{1});
}

TEST_P(AnyBlockReader, NoticesFilesThatShrank) {
  open(2);
  if (reader_ == nullptr) return;
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  std::string path = directory / "file";
  for (ReadMode mode : {ReadMode::kBuffered, ReadMode::kDirect}) {
    ASSERT_TRUE(storage->write_atomic(path, random_blocks(20'000)).ok());
    auto file = storage->open(path, mode);
    ASSERT_TRUE(file.ok());
    std::filesystem::resize_file(path, 9000);
    Buffer memory(2 * kMiB);
    MutableByteSpan part = memory.span();
    std::vector<BlockRead> reads = {
        {.file = file->get(), .offset = 0, .parts = part.first(8192), .tag = 0},
        {.file = file->get(), .offset = 0, .parts = part.subspan(8192, 16'384), .tag = 1},
        {.file = file->get(), .offset = 12'288, .parts = part.subspan(24'576, 4096), .tag = 2},
    };
    reader_->submit(reads);
    std::vector<BlockReadDone> done;
    while (reader_->outstanding() > 0) reader_->collect(&done, true);
    ASSERT_EQ(done.size(), 3u);
    for (const BlockReadDone& read : done) {
      EXPECT_EQ(read.status.ok(), read.tag == 0);
      if (read.status.ok()) continue;
      EXPECT_EQ(read.status.error().code, ErrorCode::kIo);
      EXPECT_NE(read.status.error().message.find(path), std::string::npos);
    }
  }
}

// Tells when a read of it has begun, and works on it for a while.
class BusyFile final : public ReadableFile {
 public:
  uint64_t size() const override { return 1; }
  uint64_t direct_alignment() const override { return 1; }
  Status read_at(uint64_t /*offset*/, MutableByteSpan /*out*/) const override {
    begun_.count_down();
    ByteVector work = random_blocks(8 * kMiB);
    finished_ = !work.empty();
    return {};
  }
  void wait_until_begun() const { begun_.wait(); }
  bool finished() const { return finished_; }

 private:
  mutable std::latch begun_{1};
  mutable std::atomic<bool> finished_ = false;
};

TEST_P(AnyBlockReader, WaitsForTheDeviceBeforeItEnds) {
  open(1);
  if (reader_ == nullptr) return;
  BusyFile file;
  std::byte memory{};
  BlockRead read{.file = &file, .parts = MutableByteSpan(&memory, 1)};
  reader_->submit({&read, 1});
  file.wait_until_begun();
  reader_.reset();
  EXPECT_TRUE(file.finished());
}

TEST_P(AnyBlockReader, EndsWithReadsNobodyCollected) {
  MemoryStorage storage;
  ByteVector data = random_blocks(64 * kKiB);
  ASSERT_TRUE(storage.write_atomic("file", data).ok());
  auto file = storage.open("file", ReadMode::kDirect);
  for (int round = 0; round < 20; ++round) {
    open(3);
    if (reader_ == nullptr) return;
    ScatteredReads scattered(**file, 30);
    reader_->submit(scattered.reads);
    if (round % 2 == 1) {
      std::vector<BlockReadDone> done;
      reader_->collect(&done, true);
      EXPECT_FALSE(done.empty());
    }
    reader_.reset();
  }
}

TEST_P(AnyBlockReader, NeverWaitsForNothing) {
  open(2);
  if (reader_ == nullptr) return;
  std::vector<BlockReadDone> done;
  reader_->submit({});
  reader_->collect(&done, true);
  reader_->collect(&done, false);
  EXPECT_TRUE(done.empty());
  EXPECT_EQ(reader_->outstanding(), 0u);
}

TEST(BlockReaderChoice, IsReadFromAFlagAndChecked) {
  EXPECT_EQ(*parse_reader_choice("--reader", "auto"), ReaderChoice::kAuto);
  EXPECT_EQ(*parse_reader_choice("--reader", "threads"), ReaderChoice::kThreads);
  EXPECT_EQ(*parse_reader_choice("--reader", "io_uring"), ReaderChoice::kUring);
  auto unknown = parse_reader_choice("--reader", "mmap");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("--reader"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("mmap"), std::string::npos);
}

TEST(BlockReaderChoice, OpensWhatWasAskedFor) {
  SystemClock clock;
  EXPECT_EQ((*open_block_reader(ReaderChoice::kThreads, 1, clock))->name(), "threads");
  EXPECT_TRUE(open_block_reader(ReaderChoice::kAuto, limits::kReadDepth, clock).ok());
  for (uint32_t depth : {0u, limits::kReadDepth + 1}) {
    auto reader = open_block_reader(ReaderChoice::kThreads, depth, clock);
    ASSERT_FALSE(reader.ok());
    EXPECT_EQ(reader.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace potluck
