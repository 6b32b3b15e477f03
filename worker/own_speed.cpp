#include "worker/own_speed.h"

#include <algorithm>
#include <set>

namespace potluck {

std::optional<DeviceSpeed> OwnSpeed::for_model(const Manifest& manifest) {
  if (meter_ == nullptr) return std::nullopt;
  if (!asked_) measure_disk();
  asked_ = true;
  std::set<TensorType> formats;
  for (const ManifestLayer& layer : manifest.layers()) {
    formats.insert({layer.shape.gate, layer.shape.up, layer.shape.down});
  }
  DeviceSpeed speed;
  speed.threads = meter_->threads();
  speed.disk_bytes_per_second = disk_;
  for (TensorType format : formats) {
    auto known = products_.find(format);
    if (known == products_.end()) {
      known = products_.emplace(format, meter_->product(format)).first;
    }
    speed.products.push_back(known->second);
  }
  return speed;
}

void OwnSpeed::measure_disk() {
  disk_ = meter_->disk_bytes_per_second();
  disk_at_ = clock_.now();
}

std::optional<TimePoint> OwnSpeed::next_tick() const {
  if (!asked_) return std::nullopt;
  return std::max(quiet_at_, disk_at_ + (disk_ == 0 ? kRetry : kStale));
}

bool OwnSpeed::on_tick() {
  std::optional<TimePoint> due = next_tick();
  if (!due || clock_.now() < *due) return false;
  uint64_t before = disk_;
  measure_disk();
  return disk_ != before;
}

}  // namespace potluck
