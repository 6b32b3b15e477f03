#include "worker/room_offer.h"

#include <algorithm>
#include <utility>

#include "worker/unit_table.h"

namespace potluck {

bool RoomOffer::take_changed() {
  return std::exchange(changed_, false);
}

void RoomOffer::stop(TimePoint now) {
  // Looking for room goes through all grains of all pools, so a disk that is full again and again
  // is looked at less and less often.
  full_ = true;
  pause_ = std::clamp(2 * pause_, UnitTable::kFirstRetry, UnitTable::kLongestRetry);
  look_at_ = now + pause_;
}

void RoomOffer::stop_while_away(TimePoint now) {
  full_ = away_ = true;
  look_at_ = now + kAway;
}

void RoomOffer::offer(uint64_t bytes) {
  if (bytes == bytes_) return;
  bytes_ = bytes;
  changed_ = true;
}

void RoomOffer::enough() {
  if (!limited()) pause_ = Duration{0};
}

std::optional<TimePoint> RoomOffer::next_look() const {
  if (!limited()) return std::nullopt;
  return look_at_;
}

void RoomOffer::looked(bool found, TimePoint now) {
  if (away_ && !found) {
    look_at_ = now + kAway;
    return;
  }
  away_ = false;
  if (!found) pause_ = std::min(2 * pause_, UnitTable::kLongestRetry);
  look_at_ = now + pause_;
  if (found) full_ = false;
}

}  // namespace potluck
