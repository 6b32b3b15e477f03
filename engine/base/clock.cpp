#include "engine/base/clock.h"

namespace potluck {

// Steady, not wall time: deadlines must not fire or hang when the system's time is set.
TimePoint SystemClock::now() const {
  return std::chrono::steady_clock::now().time_since_epoch();
}

int64_t SystemClock::unix_seconds() const {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace potluck
