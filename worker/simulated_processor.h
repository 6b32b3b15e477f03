// SimulatedProcessor: how long a slower processor would be busy with what this one has computed.
// The worker computes in the same blocks as on such a processor, starts none while the simulated
// one is still busy, and reports the time that it would have taken. Plain value; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/check.h"
#include "engine/base/clock.h"

namespace potluck {

class SimulatedProcessor {
 public:
  // Stretches what was measured by a factor >= 1; `per_call` comes on top for each unit applied to
  // a row (for simulations, where no time passes while something is computed).
  explicit SimulatedProcessor(double factor, Duration per_call = Duration::zero())
      : factor_(factor), per_call_(per_call) {
    CHECK(factor >= 1 && per_call >= Duration::zero());
  }

  Duration busy(Duration computed, uint64_t calls) const {
    auto real = static_cast<double>(std::max(computed, Duration::zero()).count());
    return Duration(static_cast<Duration::rep>(real * factor_)) +
           static_cast<Duration::rep>(calls) * per_call_;
  }

 private:
  double factor_;
  Duration per_call_;
};

}  // namespace potluck
