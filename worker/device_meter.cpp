#include "worker/device_meter.h"

#include <algorithm>

#include "engine/base/disk_probe.h"

namespace potluck {
namespace {

// Less than the probe takes by itself: a request may come meanwhile.
constexpr ProbeLimits kProbe{std::chrono::milliseconds(150), 256 * kMiB};

}  // namespace

uint64_t OwnDeviceMeter::disk_bytes_per_second() {
  const ReadableFile* sample = store_.sample_file();
  if (sample == nullptr) return 0;
  auto make_reader = [this](uint32_t depth) {
    return open_block_reader(reader_.choice, depth, clock_);
  };
  // A store that is too small is no failure, and a damaged one is told when it is used.
  auto probe = probe_disk(*sample, make_reader, clock_, kProbe);
  if (!probe) return 0;
  auto rate = static_cast<uint64_t>(probe->best_bytes_per_second());
  uint64_t simulated = reader_.simulated_bytes_per_second;
  return simulated == 0 ? rate : std::min(rate, simulated);
}

ProductSpeed OwnDeviceMeter::product(TensorType format) {
  ProductSpeed speed = measure_product_speed(format, kernels_, threads_, clock_);
  auto slower = [this](uint64_t rate) {
    return static_cast<uint64_t>(static_cast<double>(rate) / slowdown_);
  };
  return {format, slower(speed.one_row), slower(speed.many_rows)};
}

}  // namespace potluck
