// For each record size and depth, the probe keeps `depth` random reads in flight for an equal share
// of the time and divides bytes by seconds. The smallest depth near the best rate wins.
#include "engine/base/disk_probe.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/buffer.h"
#include "engine/base/random.h"
#include "engine/base/simulated_disk.h"

namespace potluck {
namespace {

// Grains are read in one request with their neighbors: about 1 MiB is the usual size. The usual
// size comes first, since a slow disk runs out of time before the last.
constexpr uint64_t kRecordSizes[] = {kMiB, 512 * kKiB, 256 * kKiB, 4 * kMiB};
constexpr uint32_t kDepths[] = {1, 2, 4, 8, 16};
constexpr uint64_t kPointCount = std::size(kRecordSizes) * std::size(kDepths);
constexpr uint64_t kMostInFlight = 32 * kMiB;  // more hides no latency that any device has
constexpr double kGoodEnough = 0.95;
// Half a read is there in half the time, so computing begins sooner; more than so much of the rate
// is not given for it.
constexpr double kGoodHalf = 0.98;
// While tokens are computed, the owner asks for more later than the loop here does; with fewer
// reads queued the disk would run dry between two looks.
constexpr uint32_t kLeastDepth = 4;

class Probe {
 public:
  Probe(const ReadableFile& file, const Clock& clock, const ProbeLimits& limits)
      : file_(file),
        clock_(clock),
        limits_(limits),
        random_(static_cast<uint64_t>(clock.unix_seconds())),
        memory_(kMostInFlight) {}

  // Keeps `depth` records in flight for the point's share of time and bytes.
  Result<ProbePoint> measure(BlockReader& reader, uint64_t record_bytes);

 private:
  BlockRead next_read(uint64_t record_bytes, uint64_t place);

  const ReadableFile& file_;
  const Clock& clock_;
  const ProbeLimits& limits_;
  // Seeded by the time: a cache between here and the disk may still hold the records of an earlier
  // probe.
  CounterRandom random_;
  Buffer memory_;  // [depth, record]
  uint64_t reads_ = 0;
};

BlockRead Probe::next_read(uint64_t record_bytes, uint64_t place) {
  uint64_t records = file_.size() / record_bytes;
  uint64_t record = random_.bits(reads_++) % records;
  return {.file = &file_,
          .offset = record * record_bytes,
          .parts = memory_.span().subspan(place * record_bytes, record_bytes),
          .tag = place};
}

Result<ProbePoint> Probe::measure(BlockReader& reader, uint64_t record_bytes) {
  TimePoint start = clock_.now();
  TimePoint deadline = start + limits_.time / static_cast<int64_t>(kPointCount);
  uint64_t most_bytes = limits_.bytes / kPointCount;
  uint64_t submitted = 0;
  auto submit = [&](uint64_t place) {
    BlockRead read = next_read(record_bytes, place);
    reader.submit({&read, 1});
    submitted += record_bytes;
  };
  // The depth that the reader has, which is less than what was asked for where the system gave
  // fewer threads.
  for (uint32_t place = 0; place < reader.depth(); ++place) submit(place);
  std::vector<BlockReadDone> done;
  while (reader.outstanding() > 0) {
    done.clear();
    reader.collect(&done, true);
    for (const BlockReadDone& read : done) {
      if (!read.status) return read.status.error();
      if (clock_.now() < deadline && submitted + record_bytes <= most_bytes) submit(read.tag);
    }
  }
  // What was in flight at the deadline has been waited for, so bytes and seconds match.
  double seconds = in_seconds(clock_.now() - start);
  return ProbePoint{record_bytes, reader.depth(),
                    static_cast<double>(submitted) / std::max(seconds, 1e-9)};
}

}  // namespace

Result<DiskProbe> probe_disk(const ReadableFile& file, const ReaderFactory& make_reader,
                             const Clock& clock, const ProbeLimits& limits) {
  if (file.size() < kProbeFileBytes) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("a disk is measured on a file of at least {} bytes, this one has {}",
                             kProbeFileBytes, file.size())};
  }
  Probe probe(file, clock, limits);
  std::vector<ProbePoint> points;
  TimePoint end = clock.now() + limits.time;
  for (uint64_t record_bytes : kRecordSizes) {
    for (uint32_t depth : kDepths) {
      if (depth * record_bytes > kMostInFlight) continue;
      if (!points.empty() && clock.now() >= end) return DiskProbe(std::move(points));
      auto reader = make_reader(depth);
      if (!reader) return reader.error();
      auto point = probe.measure(**reader, record_bytes);
      if (!point) return point.error();
      points.push_back(*point);
    }
  }
  return DiskProbe(std::move(points));
}

double DiskProbe::best_bytes_per_second() const {
  double best = 0;
  for (const ProbePoint& point : points_) best = std::max(best, point.bytes_per_second);
  return best;
}

double DiskProbe::best_with(uint64_t record_bytes) const {
  double best = 0;
  for (const ProbePoint& point : points_) {
    if (point.record_bytes == record_bytes) best = std::max(best, point.bytes_per_second);
  }
  return best;
}

uint64_t DiskProbe::read_bytes() const {
  const double whole = best_with(kMiB);
  const double half = best_with(kMiB / 2);
  return half > 0 && half >= kGoodHalf * whole ? kMiB / 2 : kMiB;
}

uint32_t DiskProbe::depth_for(uint64_t record_bytes) const {
  // Sizes compare by their ratio: 512 KiB lies as near to 256 KiB as to 1 MiB.
  auto distance = [record_bytes](const ProbePoint& point) {
    return std::abs(std::log(static_cast<double>(point.record_bytes)) -
                    std::log(static_cast<double>(std::max<uint64_t>(record_bytes, 1))));
  };
  auto nearest = std::min_element(
      points_.begin(), points_.end(),
      [&](const ProbePoint& a, const ProbePoint& b) { return distance(a) < distance(b); });
  CHECK(nearest != points_.end());
  double best = 0;
  for (const ProbePoint& point : points_) {
    if (point.record_bytes == nearest->record_bytes) best = std::max(best, point.bytes_per_second);
  }
  for (const ProbePoint& point : points_) {
    bool good = point.bytes_per_second >= kGoodEnough * best;
    if (point.record_bytes == nearest->record_bytes && good) return point.depth;
  }
  return nearest->depth;
}

ReaderSettings fit_reader_settings(ReaderSettings settings, const ReadableFile* sample,
                                   const Clock& clock, double* bytes_per_second) {
  if (settings.depth != 0 || sample == nullptr) return settings;
  auto make_reader = [&](uint32_t tried) {
    return open_block_reader(settings.choice, tried, clock);
  };
  auto probe = probe_disk(*sample, make_reader, clock);
  if (!probe) return settings;  // a file that cannot be read says so when it is needed
  settings.read_bytes = probe->read_bytes();
  settings.depth = std::max(probe->depth_for(settings.read_bytes), kLeastDepth);
  if (bytes_per_second != nullptr) *bytes_per_second = probe->best_bytes_per_second();
  return settings;
}

Result<std::unique_ptr<BlockReader>> open_fitted_reader(const ReaderSettings& settings,
                                                        const Clock& clock) {
  const uint32_t depth = settings.depth == 0 ? kUnmeasuredDepth : settings.depth;
  auto reader = open_block_reader(settings.choice, depth, clock);
  uint64_t rate = settings.simulated_bytes_per_second;
  if (!reader || rate == 0) return reader;
  return std::unique_ptr<BlockReader>(
      std::make_unique<SimulatedDisk>(std::move(*reader), rate, clock));
}

}  // namespace potluck
