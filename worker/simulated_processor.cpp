#include "worker/simulated_processor.h"

#include <algorithm>

namespace potluck {

SimulatedProcessor::SimulatedProcessor(double factor) : factor_(factor) {
  CHECK(factor >= 1);
}

void SimulatedProcessor::hold(SendMessage answer, TimePoint now) {
  auto* partial = std::get_if<Partial>(&answer.message);
  CHECK(partial != nullptr);
  double real = static_cast<double>(partial->timings.compute);
  Duration slow(static_cast<Duration::rep>(real * factor_));
  TimePoint begun = now - Duration(static_cast<Duration::rep>(real));
  busy_until_ = std::max(std::max(begun, busy_until_) + slow, now);
  partial->timings.compute = static_cast<uint64_t>(slow.count());
  held_.push_back({std::move(answer), busy_until_});
}

std::optional<SendMessage> SimulatedProcessor::next(TimePoint now) {
  if (held_.empty() || held_.front().due > now) return std::nullopt;
  SendMessage answer = std::move(held_.front().answer);
  held_.pop_front();
  return answer;
}

TimePoint SimulatedProcessor::next_due() const {
  return held_.empty() ? TimePoint::max() : held_.front().due;
}

}  // namespace potluck
