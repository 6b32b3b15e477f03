// SimulatedProcessor: holds answers back until a processor that is FACTOR times slower would have
// computed them. What was really computed stays as it is; the measured time is stretched, also in
// the answer's own timings. Requests share the one processor. Plain value; one thread.
#pragma once

#include <deque>

#include "worker/worker_core.h"

namespace potluck {

class SimulatedProcessor {
 public:
  explicit SimulatedProcessor(double factor);  // >= 1

  // Takes an answer (a Partial) that has just been computed.
  void hold(SendMessage answer, TimePoint now);
  // The next answer that is due.
  std::optional<SendMessage> next(TimePoint now);
  TimePoint next_due() const;  // TimePoint::max() when nothing is held

 private:
  struct Held {
    SendMessage answer;
    TimePoint due;
  };

  double factor_;
  TimePoint busy_until_{0};
  std::deque<Held> held_;
};

}  // namespace potluck
