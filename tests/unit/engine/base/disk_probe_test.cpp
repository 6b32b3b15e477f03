#include "engine/base/disk_probe.h"

#include <algorithm>
#include <deque>
#include <set>

#include <gtest/gtest.h>

namespace potluck {
namespace {

// A file that exists by its size alone.
class HollowFile final : public ReadableFile {
 public:
  explicit HollowFile(uint64_t size) : size_(size) {}
  uint64_t size() const override { return size_; }
  uint64_t direct_alignment() const override { return 4096; }
  Status read_at(uint64_t /*offset*/, MutableByteSpan /*out*/) const override { return {}; }

 private:
  uint64_t size_;
};

// A device in virtual time: each read takes `latency` of its own, and all share one bandwidth.
struct Device {
  ManualClock clock{};
  Duration latency{0};
  double bytes_per_second = 1e9;
  uint64_t bytes_read = 0;
  std::set<uint64_t> offsets{};
  uint64_t repeated = 0;
  bool failing = false;
};

class DeviceReader final : public BlockReader {
 public:
  DeviceReader(Device* device, uint32_t depth) : device_(device), depth_(depth) {}

  void submit(std::span<const BlockRead> reads) override {
    for (const BlockRead& read : reads) {
      EXPECT_EQ(read.offset % read.parts.bytes(), 0u);
      EXPECT_LE(read.offset + read.parts.bytes(), read.file->size());
      device_->repeated += device_->offsets.insert(read.offset).second ? 0 : 1;
      device_->bytes_read += read.parts.bytes();
      pending_.push_back(read);
    }
    EXPECT_LE(pending_.size(), depth_);
  }
  void promote(uint64_t /*tag*/) override {}
  void collect(std::vector<BlockReadDone>* done, bool wait) override {
    EXPECT_TRUE(wait);
    const BlockRead& read = pending_.front();
    double transfer = static_cast<double>(read.parts.bytes()) / device_->bytes_per_second;
    double latency = std::chrono::duration<double>(device_->latency).count();
    double busy = std::max(transfer, (latency + transfer) / depth_);
    device_->clock.advance(Duration(static_cast<int64_t>(busy * 1e9)));
    Status status;
    if (device_->failing) status = Error{ErrorCode::kIo, "segment: cannot read"};
    done->push_back({read.tag, status, Duration(0)});
    pending_.pop_front();
  }
  size_t outstanding() const override { return pending_.size(); }
  uint32_t depth() const override { return depth_; }
  std::string_view name() const override { return "device"; }

 private:
  Device* device_;
  uint32_t depth_;
  std::deque<BlockRead> pending_;
};

Result<DiskProbe> probe(Device* device, uint64_t file_bytes = 100 * kGiB) {
  HollowFile file(file_bytes);
  return probe_disk(
      file,
      [device](uint32_t depth) -> Result<std::unique_ptr<BlockReader>> {
        return std::unique_ptr<BlockReader>(std::make_unique<DeviceReader>(device, depth));
      },
      device->clock);
}

double as_milliseconds(TimePoint time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

TEST(DiskProbe, FindsTheDepthThatHidesTheLatency) {
  // 1 MiB takes 1.05 ms; with 3 ms before it, four reads at a time keep the device busy.
  Device device{.latency = std::chrono::milliseconds(3)};
  auto result = probe(&device);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->depth_for(kMiB), 4u);
  EXPECT_EQ(result->depth_for(800 * kKiB), 4u) << "the nearest size that was measured";
  EXPECT_EQ(result->depth_for(512 * kKiB), 8u);
  EXPECT_EQ(result->depth_for(4 * kMiB), 2u);
  EXPECT_EQ(result->depth_for(256 * kKiB), 16u);
  EXPECT_NEAR(result->best_bytes_per_second(), 1e9, 1e7);
  for (const ProbePoint& point : result->points()) {
    if (point.record_bytes != kMiB || point.depth != 1) continue;
    EXPECT_NEAR(point.bytes_per_second, 1.048576 / 4.048576 * 1e9, 1e6);
  }
}

TEST(DiskProbe, TakesTheSmallestDepthWhereMoreGainsNothing) {
  Device device{.latency = std::chrono::microseconds(20)};
  auto result = probe(&device);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->depth_for(kMiB), 1u) << "2 % slower than the best";
  EXPECT_EQ(result->depth_for(4 * kMiB), 1u);
}

// Half a read is there sooner. Where it costs no throughput, that is the better size.
TEST(DiskProbe, ReadsAreHalvedWhereThatIsAsFast) {
  Device quick{.latency = std::chrono::microseconds(50), .bytes_per_second = 3e8};
  auto result = probe(&quick);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->read_bytes(), 512 * kKiB) << "sixteen at a time hide the latency";
  Device far{.latency = std::chrono::milliseconds(15)};
  result = probe(&far);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->read_bytes(), kMiB) << "half as much in nearly the same time";
  Device card{.latency = std::chrono::milliseconds(2), .bytes_per_second = 2e7};
  result = probe(&card);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->read_bytes(), kMiB) << "it was left before smaller reads were tried";
}

TEST(DiskProbe, KeepsToItsTimeAndItsBytes) {
  Device usual{.bytes_per_second = 1e9};
  ASSERT_TRUE(probe(&usual).ok());
  EXPECT_LT(as_milliseconds(usual.clock.now()), 500);
  Device fast{.bytes_per_second = 1e11};
  auto result = probe(&fast);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->points().size(), 19u) << "4 MiB sixteen times is too much";
  EXPECT_LT(fast.bytes_read, 512 * kMiB);
  EXPECT_LT(fast.repeated, 20u) << "records are drawn from the whole file";
}

TEST(DiskProbe, LeavesASlowDeviceEarly) {
  Device card{.latency = std::chrono::milliseconds(2), .bytes_per_second = 4e7};
  auto result = probe(&card);
  ASSERT_TRUE(result.ok());
  EXPECT_LT(result->points().size(), 19u);
  EXPECT_LT(as_milliseconds(card.clock.now()), 1000);
  EXPECT_EQ(result->depth_for(4 * kMiB), 2u) << "by the size that was measured";
  EXPECT_NEAR(result->best_bytes_per_second(), 4e7, 1e6);
}

TEST(DiskProbe, RefusesAFileThatTellsNothing) {
  Device device{};
  auto result = probe(&device, kProbeFileBytes - 1);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(device.bytes_read, 0u);
}

TEST(DiskProbe, FailsAsItsReadsDo) {
  Device device{.failing = true};
  auto result = probe(&device);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("segment"), std::string::npos);
}

TEST(DiskProbe, PassesOnThatNoReaderOpens) {
  HollowFile file(kGiB);
  SystemClock clock;
  auto result = probe_disk(
      file,
      [](uint32_t) -> Result<std::unique_ptr<BlockReader>> {
        return Error{ErrorCode::kUnsupported, "no reader"};
      },
      clock);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
}

TEST(FittedReader, TakesItsDepthFromTheSettingsOrTheProbe) {
  HollowFile large(kGiB);
  HollowFile small(kMiB);
  SystemClock clock;
  ReaderSettings settings{.choice = ReaderChoice::kThreads, .depth = 3};
  auto depth_on = [&](const ReadableFile* sample) {
    return (*open_fitted_reader(fit_reader_settings(settings, sample, clock), clock))->depth();
  };
  EXPECT_EQ(depth_on(&large), 3u);
  settings.simulated_bytes_per_second = 1000;
  EXPECT_EQ(depth_on(&large), 3u);
  settings = {.choice = ReaderChoice::kThreads};
  EXPECT_EQ(depth_on(&small), kUnmeasuredDepth);
  EXPECT_EQ(depth_on(nullptr), kUnmeasuredDepth);
  EXPECT_LE(depth_on(&large), 16u);
  settings.depth = 100'000;
  EXPECT_FALSE(open_fitted_reader(settings, clock).ok());
}

}  // namespace
}  // namespace potluck
