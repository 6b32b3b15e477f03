// The clock seam. Cores and tests get time from here and nowhere else, so that the simulator can
// own it. Implementations are safe to call from any thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace potluck {

using Duration = std::chrono::nanoseconds;
using TimePoint = Duration;  // monotonic time since an arbitrary start

inline double in_seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual int64_t unix_seconds() const = 0;  // wall clock; only for expiry dates and file times
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
  int64_t unix_seconds() const override;
};

// A clock that moves only when told to.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  int64_t unix_seconds() const override {
    return 1'700'000'000 + std::chrono::duration_cast<std::chrono::seconds>(now_).count();
  }
  void advance(Duration by) { now_ += by; }
  void set(TimePoint to) { now_ = to; }

 private:
  TimePoint now_{0};
};

}  // namespace potluck
