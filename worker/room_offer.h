// RoomOffer: whether this device's store can take more of a pool's units, when to look for room
// again, and how much the coordinator is told there is. Plain arithmetic; owned by UnitDelivery.
// One thread.
//
//   unlimited --stop()--> full --room was found--> limited: what was offered is still less than all
//       ^                                            |
//       +------------ offer(Residency::kAnyRoom) ----+
#pragma once

#include <optional>

#include "engine/base/clock.h"
#include "protocol/message.h"

namespace potluck {

class RoomOffer {
 public:
  // Nothing is fetched: it could not be stored.
  bool full() const { return full_; }
  // Full, or less is offered than Hello said.
  bool limited() const { return full_ || bytes_ != Residency::kAnyRoom; }
  // As the coordinator is to be told.
  uint64_t bytes() const { return bytes_; }
  // It does not know yet.
  bool changed() const { return changed_; }
  // What is to be told is told.
  bool take_changed();

  // Another assignment, or none: what fits is to be found out anew.
  void try_again() { full_ = false; }
  void reset() { *this = {}; }
  // The coordinator may have forgotten.
  void tell_again() { changed_ = bytes_ != Residency::kAnyRoom; }

  // Nothing more can be stored: to be looked for later and later.
  void stop(TimePoint now);
  // The disk cannot be reached at all: looking is cheap, and done every kAway.
  void stop_while_away(TimePoint now);
  static constexpr Duration kAway = std::chrono::seconds(10);
  void offer(uint64_t bytes);
  // Everything that is assigned was stored.
  void enough();

  // When to look for room, while limited.
  std::optional<TimePoint> next_look() const;
  void looked(bool found, TimePoint now);

 private:
  bool full_ = false;
  bool away_ = false;
  uint64_t bytes_ = Residency::kAnyRoom;
  bool changed_ = false;
  Duration pause_{0};     // between two looks; stays until everything fits
  TimePoint look_at_{0};  // while limited
};

}  // namespace potluck
