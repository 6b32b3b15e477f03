// What TCP's window is to a sender, in bytes that a receiver has asked for: rate times the time
// there and back is the least that keeps a link busy; what goes beyond it only waits in queues.
#include "worker/part_window.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;

// Long enough that the pauses between parts and the bursts after them even out.
constexpr Duration kMeasuring = milliseconds(200);
// What is under way lasts so long, or twice the way there and back if that is longer.
constexpr double kCreditSeconds = 1;
// A credit is asked for in so many parts: the link is never idle, and headers stay few.
constexpr uint64_t kPartsPerCredit = 4;
// What is under way may take this many times longer than expected.
constexpr double kSlack = 4;
constexpr uint32_t kMostDoublings = 8;

}  // namespace

uint64_t PartWindow::credit() const {
  if (rate_ <= 0) return kFirstCredit;
  double lasting = std::max(kCreditSeconds, 2 * in_seconds(latency_));
  return std::clamp(static_cast<uint64_t>(rate_ * std::min(lasting, 60.0)), kFirstCredit,
                    kMostCredit);
}

uint32_t PartWindow::room() const {
  if (asked_.size() >= limits::kBulkPartsAsked) return 0;
  uint64_t part = credit() / kPartsPerCredit / kLeastPart * kLeastPart;
  part = std::clamp(part, kLeastPart, limits::kBulkPartBytes);
  bool fits = under_way_ + part <= credit();
  return asked_.empty() || fits ? static_cast<uint32_t>(part) : 0;
}

void PartWindow::asked(const Digest& digest, uint64_t offset, uint32_t length, TimePoint now) {
  std::erase_if(asked_, [&](const Asked& older) {
    bool replaced = older.digest == digest && older.offset >= offset;
    if (replaced) under_way_ -= older.length;
    return replaced;
  });
  // After an idle time: patience and measurement begin now.
  if (asked_.empty()) {
    progress_at_ = now;
    measured_at_ = now;
  }
  asked_.push_back({digest, offset, length, now});
  under_way_ += length;
}

bool PartWindow::arrived(const Digest& digest, uint64_t offset, uint64_t bytes, TimePoint now) {
  auto range = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& asked) {
    return asked.digest == digest && asked.offset == offset && bytes <= asked.length;
  });
  if (range == asked_.end() || bytes == 0) return false;
  // The shortest ever seen: longer ones include queues that our own requests have filled.
  latency_ = std::min(latency_, now - range->at);
  progress_at_ = now;
  losses_ = 0;
  under_way_ -= bytes;
  range->offset += bytes;
  range->length -= bytes;
  if (range->length == 0) asked_.erase(range);
  measure(bytes, now);
  return true;
}

// The rate is believed at once when it falls a little, and in steps of two when it rises: after a
// stall everything that was held up comes together.
void PartWindow::measure(uint64_t bytes, TimePoint now) {
  measured_bytes_ += bytes;
  measured_time_ += now - measured_at_;
  measured_at_ = now;
  if (measured_time_ < kMeasuring) return;
  double rate = static_cast<double>(measured_bytes_) / in_seconds(measured_time_);
  rate_ = rate_ <= 0 ? rate : (rate_ + std::min(rate, 3 * rate_)) / 2;
  measured_bytes_ = 0;
  measured_time_ = Duration{0};
}

void PartWindow::give_up(const Digest& digest) {
  std::erase_if(asked_, [&](const Asked& asked) {
    if (asked.digest != digest) return false;
    under_way_ -= asked.length;
    return true;
  });
}

bool PartWindow::awaits(const Digest& digest) const {
  return std::any_of(asked_.begin(), asked_.end(),
                     [&](const Asked& asked) { return asked.digest == digest; });
}

void PartWindow::reset() {
  asked_.clear();
  under_way_ = 0;
  measured_bytes_ = 0;
  measured_time_ = Duration{0};
}

// The link is worse than it was thought to be.
void PartWindow::timed_out() {
  reset();
  losses_ = std::min(losses_ + 1, kMostDoublings);
  rate_ /= 2;
}

TimePoint PartWindow::overdue_at() const {
  if (idle()) return TimePoint::max();
  Duration patience = kLeastPatience;
  if (rate_ > 0) {
    double expected = static_cast<double>(under_way_) / rate_ + 2 * in_seconds(latency_);
    patience =
        std::max(patience, std::chrono::duration_cast<Duration>(
                               std::chrono::duration<double>(std::min(kSlack * expected, 60.0))));
  }
  return progress_at_ + std::min(patience * (int64_t{1} << losses_), kMostPatience);
}

Status PartWindow::validate() const {
  uint64_t bytes = 0;
  for (const Asked& asked : asked_) bytes += asked.length;
  if (bytes == under_way_ && asked_.size() <= limits::kBulkPartsAsked) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} parts of {} bytes were asked for, counted were {}", asked_.size(),
                           bytes, under_way_)};
}

}  // namespace potluck
