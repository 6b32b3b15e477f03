#include "protocol/serve_pacer.h"

#include <algorithm>

namespace potluck {
namespace {

// What may be sent at once after a pause: a loop that comes so late loses no rate.
constexpr double kBurstSeconds = 0.02;

}  // namespace

ServePacer::ServePacer(uint64_t bytes_per_second)
    : idle_rate_(std::max<uint64_t>(bytes_per_second, 1)),
      balance_(kBurstSeconds * static_cast<double>(idle_rate_)) {}

uint64_t ServePacer::rate(TimePoint now) const {
  if (!busy(now)) return idle_rate_;
  return std::clamp<uint64_t>(idle_rate_ / 8, 1, kMostWhileBusy);
}

// The time since the last call counts at the rate that holds now: calls come far more often than
// the rate changes.
void ServePacer::refill(TimePoint now) {
  auto now_rate = static_cast<double>(rate(now));
  balance_ =
      std::min(balance_ + in_seconds(now - refilled_at_) * now_rate, kBurstSeconds * now_rate);
  refilled_at_ = now;
}

void ServePacer::work_seen(TimePoint now) {
  refill(now);
  worked_ = true;
  worked_at_ = now;
}

bool ServePacer::may_send(TimePoint now) {
  refill(now);
  return balance_ >= 0;
}

void ServePacer::sent(uint64_t bytes, TimePoint now) {
  refill(now);
  balance_ -= static_cast<double>(bytes);
}

TimePoint ServePacer::next(TimePoint now) const {
  // Rounded up: a loop that woke a fraction too early would find the bucket still in debt and spin.
  double missing = -balance_ / static_cast<double>(rate(now)) - in_seconds(now - refilled_at_);
  if (missing <= 0) return now;
  constexpr double kLongest = 3600;
  auto wait = std::chrono::ceil<std::chrono::microseconds>(
      std::chrono::duration<double>(std::min(missing, kLongest)));
  TimePoint next = now + wait;
  // The rate rises when the work is over, so the wait has to be computed anew then.
  return busy(now) ? std::min(next, worked_at_ + kBusyFor) : next;
}

}  // namespace potluck
