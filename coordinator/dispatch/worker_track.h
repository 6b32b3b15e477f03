// WorkerTrack: what the dispatcher has learned about one worker: how long its calls take, what it
// owes, and whether it failed lately. It is kept by key, independent of membership: a
// worker that is lost and comes back, or says Hello again, is the same worker. Pure; owns no clock.
// One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "protocol/deadline_estimator.h"
#include "protocol/keys.h"

namespace potluck {

// Giving work away too early costs more than waiting: the coordinator may have to read and lay out
// experts itself. A vanished worker is noticed otherwise (probes, heartbeats), so this deadline is
// for the one that is alive and stuck, and a second leaves room for a cold disk or a busy phone.
inline constexpr Duration kDeadlineFloor = std::chrono::seconds(1);
// A message is cut so that its rows take a worker about so long: what is lost with it is soon done
// elsewhere, and other work gets its turn.
inline constexpr Duration kMessageWork = std::chrono::seconds(1);

// One message that a worker was asked and has not answered.
struct AskedMessage {
  TimePoint sent_at{0};
  uint32_t rows = 0;
  uint64_t bytes = 0;    // of its tensor frame
  Duration estimate{0};  // what it was likely to take
};

class WorkerTrack {
 public:
  // A worker is asked for more while it owes less than all of this, so that it never waits for the
  // next message, and what it has to keep for us stays bounded.
  static constexpr uint32_t kMessagesAhead = 8;
  static constexpr uint64_t kBytesAhead = 8 * kMiB;
  static constexpr Duration kWorkAhead = 2 * kMessageWork;

  bool usable(TimePoint now) const { return !overdue_ && now >= resting_until_; }
  // Rows that the next message should have, by what is known about its speed.
  uint32_t rows_per_message() const { return estimator_.rows_for(kMessageWork); }
  bool owes_nothing() const { return owed_messages_ == 0; }
  // Whether it may be asked for such a message now. One that owes nothing may always be asked; one
  // of which nothing is known shows first what a few rows take.
  bool takes_more(uint32_t rows, uint64_t bytes) const {
    if (owed_messages_ == 0) return true;
    if (owed_messages_ >= kMessagesAhead || owed_bytes_ + bytes > kBytesAhead) return false;
    std::optional<Duration> estimate = estimator_.estimate(rows);
    if (!estimate) return owed_rows_ + rows <= DeadlineEstimator::kFirstRows;
    return owed_work_ + *estimate <= kWorkAhead;
  }
  // How long from now a message of so many rows may take, after all that is owed before it.
  Duration deadline(uint32_t rows) const {
    if (estimator_.knows_nothing()) rows += owed_rows_;
    return std::max(kDeadlineFloor, estimator_.deadline(rows, owed_work_));
  }

  AskedMessage asked(TimePoint now, uint32_t rows, uint64_t bytes) {
    AskedMessage message{now, rows, bytes, estimator_.estimate(rows).value_or(Duration::zero())};
    ++owed_messages_;
    owed_rows_ += rows;
    owed_bytes_ += bytes;
    owed_work_ += message.estimate;
    return message;
  }
  // It is no longer owed: answered, given to others, or not wanted any more.
  void settled(const AskedMessage& message) {
    --owed_messages_;
    owed_rows_ -= message.rows;
    owed_bytes_ -= message.bytes;
    owed_work_ -= message.estimate;
  }
  // An answer came, in time or not. A worker computes one message after the other.
  void measured(TimePoint now, const AskedMessage& message) {
    estimator_.record(now - std::max(message.sent_at, last_answer_), message.rows);
    last_answer_ = now;
  }

  void answered_well() { failures_ = 0; }
  void answered_badly(TimePoint now) { rest(now, false); }
  // Words alone do not end the rest: a worker beats while it computes, and also when it is stuck.
  void missed_deadline(TimePoint now) {
    overdue_ = true;
    rest(now, failures_ == 0);
  }
  // It has answered after all: the first time that is only a lesson about its speed.
  void answered_late() {
    if (pardonable_) resting_until_ = TimePoint{0};
    pardonable_ = false;
  }
  void heard() { overdue_ = false; }

 private:
  static constexpr uint32_t kLongestRestPower = 6;

  // Gets no work for a while, twice as long each time: 1 s to about a minute. What fails while it
  // rests was asked before.
  void rest(TimePoint now, bool pardonable) {
    if (now < resting_until_) return;
    resting_until_ = now + std::chrono::seconds(int64_t{1} << failures_);
    failures_ = std::min(failures_ + 1, kLongestRestPower);
    pardonable_ = pardonable;
  }

  DeadlineEstimator estimator_;
  TimePoint last_answer_{0};
  uint32_t owed_messages_ = 0;
  uint32_t owed_rows_ = 0;
  uint64_t owed_bytes_ = 0;
  Duration owed_work_{0};
  bool overdue_ = false;     // missed a deadline and was not heard from since
  bool pardonable_ = false;  // it rests for the first deadline missed since a good answer
  TimePoint resting_until_{0};
  uint32_t failures_ = 0;  // since the last good answer
};

using WorkerTracks = std::map<PeerKey, WorkerTrack>;

}  // namespace potluck
