// WorkerTrack: what the dispatcher has learned about one worker: how long its calls take, what it
// owes, and whether it failed lately. It is kept by key, independent of membership: a
// worker that is lost and comes back, or says Hello again, is the same worker. Pure; owns no clock.
// One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "coordinator/dispatch/circuit_breaker.h"
#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "protocol/deadline_estimator.h"
#include "protocol/keys.h"

namespace potluck {

// Where nobody but the coordinator is left to do it, giving work away too early costs more than
// waiting: it has to read and lay out experts itself. A vanished worker is noticed otherwise
// (probes, heartbeats), so this deadline is for the one that is alive and stuck, and a second
// leaves room for a cold disk or a busy phone.
inline constexpr Duration kDeadlineFloor = std::chrono::seconds(1);
// Where another worker is ready for the same work, it is asked as well after three times what 99 of
// 100 answers take, and what it costs is one message. Below this floor it would be the network's
// and the schedulers' moods that decide.
inline constexpr Duration kRedispatchFloor = std::chrono::milliseconds(50);
inline constexpr double kTail = 0.99;
inline constexpr int64_t kTailMargin = 3;
// Of answers that are merely later than usual some are asked for twice (HedgeBudget). The floor:
// timers and threads are late by a few milliseconds on a busy machine.
inline constexpr Duration kHedgeFloor = std::chrono::milliseconds(5);
inline constexpr double kLate = 0.95;
// A message is cut so that its rows take a worker about so long: what is lost with it is soon done
// elsewhere, and other work gets its turn.
inline constexpr Duration kMessageWork = std::chrono::seconds(1);

// One message that a worker was asked and has not answered.
struct AskedMessage {
  TimePoint sent_at{0};
  uint32_t rows = 0;
  uint32_t calls = 0;    // of units
  uint64_t bytes = 0;    // of its tensor frame
  Duration estimate{0};  // what it was likely to take
  bool late = false;     // so late that others were asked, too
};

// Whether a worker is given new work.
enum class Willingness : uint8_t {
  kNone,       // it failed lately, or is silent
  kReluctant,  // where nobody else can do it: an answer is late, or it is just being tried again
  kGladly,
};

class WorkerTrack {
 public:
  // A worker is asked for more while it owes less than all of this, so that it never waits for the
  // next message, and what it has to keep for us stays bounded.
  static constexpr uint32_t kMessagesAhead = 8;
  static constexpr uint64_t kBytesAhead = 8 * kMiB;
  static constexpr Duration kWorkAhead = 2 * kMessageWork;

  BreakerState breaker(TimePoint now) const {
    return overdue_ ? BreakerState::kOpen : breaker_.state(now);
  }
  bool usable(TimePoint now) const { return breaker(now) != BreakerState::kOpen; }
  Willingness willingness(TimePoint now) const {
    switch (breaker(now)) {
      case BreakerState::kOpen:
        return Willingness::kNone;
      case BreakerState::kHalfOpen:
        return owes_nothing() ? Willingness::kGladly : Willingness::kReluctant;
      case BreakerState::kClosed:
        return late_messages_ == 0 ? Willingness::kGladly : Willingness::kReluctant;
    }
    return Willingness::kNone;
  }
  // Rows that the next message should have, by what is known about its speed.
  uint32_t rows_per_message() const { return estimator_.rows_for(kMessageWork); }
  bool owes_nothing() const { return owed_messages_ == 0; }
  uint64_t owed_calls() const { return owed_calls_; }
  // Whether it may be asked for such a message now. One that owes nothing may always be asked; one
  // that is tried again gets one message, and one of which nothing is known shows first what a few
  // rows take.
  bool takes_more(uint32_t rows, uint64_t bytes, TimePoint now) const {
    if (owed_messages_ == 0) return true;
    if (breaker(now) == BreakerState::kHalfOpen) return false;
    if (owed_messages_ >= kMessagesAhead || owed_bytes_ + bytes > kBytesAhead) return false;
    std::optional<Duration> estimate = estimator_.estimate(rows);
    if (!estimate) return owed_rows_ + rows <= DeadlineEstimator::kFirstRows;
    return owed_work_ + *estimate <= kWorkAhead;
  }
  // How long from now a message of so many rows may take, after all that is owed before it, until
  // it is given up.
  Duration deadline(uint32_t rows) const {
    if (estimator_.knows_nothing()) rows += owed_rows_;
    return std::max(kDeadlineFloor, estimator_.deadline(rows, owed_work_));
  }
  // The same until another worker that is ready is asked as well, no matter what that costs;
  // nothing while too little is known of this one.
  std::optional<Duration> redispatch_after(uint32_t rows) const {
    std::optional<Duration> tail = estimator_.usual(kTail, rows);
    if (!tail) return std::nullopt;
    return std::min(std::max(kRedispatchFloor, kTailMargin * *tail) + owed_work_, deadline(rows));
  }
  // The same until one is asked as well, if that is within the budget.
  std::optional<Duration> hedge_after(uint32_t rows) const {
    std::optional<Duration> late = estimator_.usual(kLate, rows);
    if (!late) return std::nullopt;
    return std::max(kHedgeFloor, *late) + owed_work_;
  }

  AskedMessage asked(TimePoint now, uint32_t rows, uint32_t calls, uint64_t bytes) {
    Duration estimate = estimator_.estimate(rows).value_or(Duration::zero());
    ++owed_messages_;
    owed_rows_ += rows;
    owed_calls_ += calls;
    owed_bytes_ += bytes;
    owed_work_ += estimate;
    return {now, rows, calls, bytes, estimate, false};
  }
  // It is no longer owed: answered, given to others, or not wanted any more.
  void settled(const AskedMessage& message) {
    --owed_messages_;
    owed_rows_ -= message.rows;
    owed_calls_ -= message.calls;
    owed_bytes_ -= message.bytes;
    owed_work_ -= message.estimate;
    if (message.late) --late_messages_;
  }
  // Others are asked for it as well. Until it has answered, it is asked only where nobody else is.
  void became_late(AskedMessage* message) {
    if (std::exchange(message->late, true)) return;
    ++late_messages_;
  }
  // An answer came, in time or not. A worker computes one message after the other.
  void measured(TimePoint now, const AskedMessage& message, bool cold = false) {
    estimator_.record(now - std::max(message.sent_at, last_answer_), message.rows, cold);
    last_answer_ = now;
  }

  void answered_well() { breaker_.succeed(); }
  void answered_badly(TimePoint now) { fail(now, false); }
  // Words alone do not end the pause: a worker beats while it computes, and also when it is stuck.
  void missed_deadline(TimePoint now) {
    overdue_ = true;
    fail(now, breaker_.untroubled());
  }
  // It has answered after all: the first time that is only a lesson about its speed.
  void answered_late() {
    if (pardonable_) breaker_.pardon();
    pardonable_ = false;
  }
  void heard() { overdue_ = false; }

 private:
  void fail(TimePoint now, bool pardonable) {
    if (breaker_.state(now) == BreakerState::kOpen) return;
    breaker_.fail(now);
    pardonable_ = pardonable;
  }

  DeadlineEstimator estimator_;
  CircuitBreaker breaker_;
  TimePoint last_answer_{0};
  uint32_t owed_messages_ = 0;
  uint32_t late_messages_ = 0;  // of those
  uint32_t owed_rows_ = 0;
  uint64_t owed_calls_ = 0;
  uint64_t owed_bytes_ = 0;
  Duration owed_work_{0};
  bool overdue_ = false;     // missed a deadline and was not heard from since
  bool pardonable_ = false;  // it pauses for the first deadline missed since a good answer
};

using WorkerTracks = std::map<PeerKey, WorkerTrack>;

}  // namespace potluck
