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
  // a row (for simulations, where no time passes while something is computed). `slower`: by what
  // all of it takes longer at present, if that changes; must outlive the object.
  explicit SimulatedProcessor(double factor, Duration per_call = Duration::zero(),
                              const double* slower = nullptr)
      : factor_(factor), per_call_(per_call), slower_(slower) {
    CHECK(factor >= 1 && per_call >= Duration::zero());
  }

  Duration busy(Duration computed, uint64_t calls) const {
    auto real = static_cast<double>(std::max(computed, Duration::zero()).count());
    Duration usual = Duration(static_cast<Duration::rep>(real * factor_)) +
                     static_cast<Duration::rep>(calls) * per_call_;
    if (slower_ == nullptr) return usual;
    return Duration(static_cast<Duration::rep>(static_cast<double>(usual.count()) * *slower_));
  }

 private:
  double factor_;
  Duration per_call_;
  const double* slower_;
};

}  // namespace potluck
