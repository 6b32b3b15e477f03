// The disk probe: a short measurement of how many reads a device wants at the same time. It reads
// random records of an existing large file for about 400 ms, at several record sizes and depths,
// into memory backed by huge pages. One thread.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/base/block_reader.h"

namespace potluck {

struct ProbePoint {
  uint64_t record_bytes = 0;
  uint32_t depth = 0;
  double bytes_per_second = 0;
};

class DiskProbe {
 public:
  explicit DiskProbe(std::vector<ProbePoint> points) : points_(std::move(points)) {}

  std::span<const ProbePoint> points() const { return points_; }
  // Of any point.
  double best_bytes_per_second() const;
  // The smallest depth that reads within 5 % of the best rate with records of the measured size
  // nearest to `record_bytes`: more would only make each read wait longer.
  uint32_t depth_for(uint64_t record_bytes) const;

  // In which pieces neighbors on the disk are best read: 512 KiB where that is as fast as 1 MiB,
  // and 1 MiB where it is not, or where the disk was left before it was tried.
  uint64_t read_bytes() const;

 private:
  double best_with(uint64_t record_bytes) const;

  std::vector<ProbePoint> points_;  // at least one
};

struct ProbeLimits {
  Duration time = std::chrono::milliseconds(400);  // no point begins after it
  uint64_t bytes = 512 * kMiB;                     // no point reads more than its share
};

using ReaderFactory = std::function<Result<std::unique_ptr<BlockReader>>(uint32_t depth)>;

// Measures with readers that `make_reader` opens. Record sizes come in the order of their
// importance, each with all its depths; a slow device is left before the last. kInvalidArgument
// when the file is too small to tell anything (kProbeFileBytes); otherwise fails as its reads do.
inline constexpr uint64_t kProbeFileBytes = 64 * kMiB;
Result<DiskProbe> probe_disk(const ReadableFile& file, const ReaderFactory& make_reader,
                             const Clock& clock, const ProbeLimits& limits = {});

// The depth of a reader whose settings name none and that has nothing to measure on: enough for
// most disks.
inline constexpr uint32_t kUnmeasuredDepth = 8;

// The settings with what the probe of `sample` finds best: a depth (of at least 4), unless they
// name one, and a read size. As they are where it cannot be measured (null, too small, unreadable)
// or where they name a depth. `bytes_per_second` (or null) is told the best rate, if there was one.
ReaderSettings fit_reader_settings(ReaderSettings settings, const ReadableFile* sample,
                                   const Clock& clock, double* bytes_per_second = nullptr);

// Opens a reader as the settings say; kUnmeasuredDepth where they name no depth.
Result<std::unique_ptr<BlockReader>> open_fitted_reader(const ReaderSettings& settings,
                                                        const Clock& clock);

}  // namespace potluck
