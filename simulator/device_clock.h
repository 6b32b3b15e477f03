// DeviceClock: the clock of one simulated device. It follows the clock of the simulation, except
// that its processor may be ahead, busy with something that takes time, that it stood still while
// the device was suspended, and that its calendar may be wrong. One thread.
#pragma once

#include <algorithm>

#include "engine/base/clock.h"

namespace potluck::sim {

class DeviceClock final : public Clock {
 public:
  // `base` must outlive the object.
  explicit DeviceClock(const ManualClock& base) : base_(base) {}

  TimePoint now() const override { return at_base() - stood_still_; }
  int64_t unix_seconds() const override {
    return base_.unix_seconds() + std::chrono::duration_cast<std::chrono::seconds>(skew_).count();
  }
  // When, by the clock of the simulation, it is what now() says.
  TimePoint at_base() const { return std::max(base_.now(), busy_until_); }
  TimePoint to_base(TimePoint own) const {
    return own == TimePoint::max() ? own : own + stood_still_;
  }

  // The processor waits, or computes: until then nothing else happens on the device.
  void wait_until(TimePoint own) { busy_until_ = std::max(busy_until_, to_base(own)); }
  bool busy() const { return busy_until_ > base_.now(); }
  TimePoint busy_until() const { return busy_until_; }

  // It stands still for so long (the device is suspended); what it shows afterwards is that much
  // behind.
  void stand_still(Duration time) { stood_still_ += time; }
  void set_calendar_off(Duration by) { skew_ = by; }

 private:
  const ManualClock& base_;
  TimePoint busy_until_{0};
  Duration stood_still_{0};
  Duration skew_{0};
};

}  // namespace potluck::sim
