#include "engine/base/simulated_disk.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;

// A real reader that is done with everything at the next look.
class InstantReader final : public BlockReader {
 public:
  explicit InstantReader(uint32_t depth) : depth_(depth) {}

  void submit(std::span<const BlockRead> reads) override {
    for (const BlockRead& read : reads) {
      Status status = read.file->read_parts_at(read.offset, read.parts.span());
      done_.push_back({read.tag, std::move(status), Duration(0)});
    }
    EXPECT_LE(done_.size(), 1000u);
  }
  void promote(uint64_t /*tag*/) override {}
  void collect(std::vector<BlockReadDone>* done, bool /*wait*/) override {
    for (BlockReadDone& read : done_) done->push_back(std::move(read));
    done_.clear();
  }
  size_t outstanding() const override { return done_.size(); }
  uint32_t depth() const override { return depth_; }
  std::string_view name() const override { return "instant"; }

 private:
  uint32_t depth_;
  std::vector<BlockReadDone> done_;
};

// Reads of 1000 bytes from a disk of 1 MB/s: 1 ms each.
class SimulatedDiskTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kRecord = 1000;
  static constexpr uint64_t kRate = 1'000'000;

  SimulatedDiskTest() : memory_(200 * kRecord) {
    ByteVector data(10 * kRecord);
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i / kRecord);
    EXPECT_TRUE(storage_.write_atomic("file", data).ok());
    file_ = std::move(*storage_.open("file", ReadMode::kDirect));
    clock_.set(std::chrono::seconds(5));
  }

  void open(uint32_t depth) {
    disk_ = std::make_unique<SimulatedDisk>(std::make_unique<InstantReader>(depth), kRate, clock_);
  }
  BlockRead read(uint64_t tag, bool prefetch = false) {
    MutableByteSpan part(memory_);
    return {.file = file_.get(),
            .offset = tag % 10 * kRecord,
            .parts = part.subspan(tag * kRecord, kRecord),
            .tag = tag,
            .prefetch = prefetch};
  }
  void submit(std::vector<BlockRead> reads) { disk_->submit(reads); }
  std::vector<uint64_t> collect() {
    std::vector<BlockReadDone> done;
    disk_->collect(&done, false);
    std::vector<uint64_t> tags;
    for (const BlockReadDone& read : done) {
      EXPECT_TRUE(read.status.ok());
      EXPECT_EQ(memory_[read.tag * kRecord], static_cast<std::byte>(read.tag % 10));
      tags.push_back(read.tag);
    }
    return tags;
  }
  using Tags = std::vector<uint64_t>;

  ManualClock clock_;
  MemoryStorage storage_;
  std::unique_ptr<ReadableFile> file_;
  ByteVector memory_;
  std::unique_ptr<SimulatedDisk> disk_;
};

TEST_F(SimulatedDiskTest, DeliversAtItsRate) {
  open(2);
  submit({read(0), read(1), read(2)});
  EXPECT_EQ(collect(), Tags{}) << "though all were really read";
  clock_.advance(milliseconds(1) - Duration(1));
  EXPECT_EQ(collect(), Tags{});
  clock_.advance(Duration(1));
  EXPECT_EQ(collect(), Tags{0});
  EXPECT_EQ(disk_->outstanding(), 2u);
  clock_.advance(milliseconds(2));
  EXPECT_EQ(collect(), (Tags{1, 2}));
  EXPECT_EQ(disk_->outstanding(), 0u);
}

TEST_F(SimulatedDiskTest, LosesNoTimeWhenNobodyLooks) {
  open(1);
  std::vector<BlockRead> reads;
  for (uint64_t tag = 0; tag < 100; ++tag) reads.push_back(read(tag));
  submit(reads);
  clock_.advance(milliseconds(40));
  EXPECT_EQ(collect().size(), 40u);
  clock_.advance(milliseconds(60));
  EXPECT_EQ(collect().size(), 60u);
}

TEST_F(SimulatedDiskTest, IsIdleWhenNothingIsWanted) {
  open(4);
  submit({read(0)});
  clock_.advance(milliseconds(10));
  EXPECT_EQ(collect(), Tags{0});
  submit({read(1), read(2)});
  clock_.advance(milliseconds(1));
  EXPECT_EQ(collect(), Tags{1}) << "the idle time cannot be saved up";
  clock_.advance(milliseconds(1));
  EXPECT_EQ(collect(), Tags{2});
}

TEST_F(SimulatedDiskTest, ServesDemandFirstAtTheTimeItCame) {
  open(1);
  submit({read(0), read(1, true), read(2, true), read(3, true)});
  clock_.advance(milliseconds(1) + milliseconds(1) / 2);  // 1 has begun by now
  submit({read(4)});
  disk_->promote(3);
  clock_.advance(milliseconds(10));
  EXPECT_EQ(collect(), (Tags{0, 1, 4, 3, 2}));
}

TEST_F(SimulatedDiskTest, PassesErrorsOn) {
  open(1);
  storage_.fail_reads(1);
  submit({read(0)});
  clock_.advance(milliseconds(1));
  std::vector<BlockReadDone> done;
  disk_->collect(&done, true);
  ASSERT_EQ(done.size(), 1u);
  ASSERT_FALSE(done[0].status.ok());
  EXPECT_NE(done[0].status.error().message.find("file"), std::string::npos);
  EXPECT_EQ(done[0].took, milliseconds(1));
}

TEST_F(SimulatedDiskTest, WaitsForRealTimeOverARealReader) {
  SystemClock clock;
  auto real = open_block_reader(ReaderChoice::kThreads, 2, clock);
  ASSERT_TRUE(real.ok());
  SimulatedDisk disk(std::move(*real), kRate, clock);
  std::vector<BlockRead> reads;
  for (uint64_t tag = 0; tag < 20; ++tag) reads.push_back(read(tag));
  TimePoint start = clock.now();
  disk.submit(reads);
  std::vector<BlockReadDone> done;
  while (disk.outstanding() > 0) disk.collect(&done, true);
  EXPECT_EQ(done.size(), 20u);
  EXPECT_GE(clock.now() - start, milliseconds(20));
  disk.collect(&done, true);
  EXPECT_EQ(done.size(), 20u) << "nothing outstanding, nothing waited for";
}

}  // namespace
}  // namespace potluck
