// OwnSpeed: what this worker knows of its own speed, and when it is measured: products of a format
// when a pool first needs them; the disk when it is first asked for, and again while the worker is
// idle, if that came to nothing or is long ago. Shared by all pools. One thread.
#pragma once

#include <map>
#include <optional>

#include "engine/base/clock.h"
#include "engine/experts/manifest.h"
#include "protocol/message.h"
#include "worker/device_meter.h"

namespace potluck {

class OwnSpeed {
 public:
  // Nothing was asked of the worker for so long: a measurement disturbs nobody.
  static constexpr Duration kQuiet = std::chrono::seconds(5);
  // After a measurement that came to nothing: the store may have been too small.
  static constexpr Duration kRetry = std::chrono::minutes(1);
  // Flash that fills up or grows old gets slower.
  static constexpr Duration kStale = std::chrono::hours(24);

  // `meter` may be null: then nothing is ever known. Both must outlive the object.
  OwnSpeed(DeviceMeter* meter, const Clock& clock) : meter_(meter), clock_(clock) {}

  // For a pool with this model, its epoch left open; nothing if there is no meter.
  std::optional<DeviceSpeed> for_model(const Manifest& manifest);

  // A peer asked for something.
  void worked() { quiet_at_ = clock_.now() + kQuiet; }
  // Whether something has changed that pools should be told.
  bool on_tick();
  // When on_tick() may measure.
  std::optional<TimePoint> next_tick() const;

 private:
  void measure_disk();

  DeviceMeter* meter_;
  const Clock& clock_;
  bool asked_ = false;  // by any pool
  uint64_t disk_ = 0;
  TimePoint disk_at_{0};
  TimePoint quiet_at_{0};
  std::map<TensorType, ProductSpeed> products_;
};

}  // namespace potluck
