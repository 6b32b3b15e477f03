// DebtLedger: what each worker owes (the messages it was asked and has not answered, with their
// calls, attempts and deadlines), and what is known about how it pays (its WorkerTrack). The two
// change together here and nowhere else. Owns no clock: callers say what time it is. One thread.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "coordinator/dispatch/row_calls.h"
#include "coordinator/dispatch/worker_track.h"
#include "engine/base/limits.h"
#include "protocol/message.h"

namespace potluck {

// What one worker was asked in one message.
struct Debt {
  WorkId work;
  PeerKey worker;
  uint64_t ticket = 0;  // of the batch
  uint32_t rows = 0;
  RowCalls calls;
  uint64_t race = 0;  // in which it is asked, and for which side; 0: it alone is asked
  uint32_t side = 0;
  // Since add().
  AskedMessage asked{};
  TimePoint hedge_at = TimePoint::max();       // another one is asked as well, within a budget
  TimePoint redispatch_at = TimePoint::max();  // the same in any case, if one is ready
  TimePoint deadline{0};                       // it is given up
  bool alone = false;                          // the worker owed nothing else when it was asked
};

class DebtLedger {
 public:
  // Workers that are remembered; beyond that those that have left are forgotten first.
  static constexpr size_t kTracksKept = 4 * size_t{limits::kWorkers};
  // Late answers are looked up among this many debts that were given up lately.
  static constexpr size_t kGivenUpKept = 256;

  // For the next message; no number comes twice.
  uint64_t next_request() { return next_request_++; }

  // The worker was asked just now, in a message whose tensor frame has so many bytes.
  void add(Debt debt, uint64_t tensor_bytes, TimePoint now);

  // Outstanding, in no order. An index is valid until the next debt is added or ended.
  const std::vector<Debt>& debts() const { return debts_; }
  template <class Condition>
  std::optional<size_t> find_if(const Condition& condition) const {
    for (size_t i = 0; i < debts_.size(); ++i) {
      if (condition(debts_[i])) return i;
    }
    return std::nullopt;
  }
  std::optional<size_t> find(uint64_t request) const;
  std::optional<TimePoint> next_deadline() const;
  // The same, or when an answer becomes late.
  std::optional<TimePoint> next_due() const;

  // From now on others are asked for it, too.
  void join_race(size_t index, uint64_t race);
  // Its answer is so late that others are asked: see WorkerTrack::became_late().
  void became_late(size_t index);
  void hedge_at(size_t index, TimePoint when) { debts_[index].hedge_at = when; }
  void redispatch_at(size_t index, TimePoint when) { debts_[index].redispatch_at = when; }
  // Time passed that says nothing about workers: what is due by now is due after its usual time.
  void excuse(TimePoint now);

  // How a debt ends; each returns it. Answered well; `cold`: a disk had to be read for it.
  Debt pay(size_t index, TimePoint now, bool cold = false);
  // Given to others; a late answer still tells how slow the worker is:
  Debt give_up(size_t index);
  // No longer wanted:
  Debt drop(size_t index);

  // An answer to something that the worker does not owe, perhaps because it was given up.
  void answered_late(const PeerKey& worker, uint64_t request, TimePoint now, bool cold = false);
  void answered_badly(const PeerKey& worker, TimePoint now);
  void missed_deadline(const PeerKey& worker, TimePoint now);
  // It said anything at all.
  void heard_from(const PeerKey& worker);

  // By key, also of workers that have left: what was learned holds when they are back.
  const WorkerTracks& tracks() const { return tracks_; }
  const WorkerTrack& track(const PeerKey& worker) { return tracks_[worker]; }
  // Bounded, for keys come and go: `needed` says of whom not to forget anything. A rest that was
  // earned is kept as long as there is room.
  template <class Needed>
  void forget_others(const Needed& needed, TimePoint now) {
    for (bool resting_too : {false, true}) {
      for (auto track = tracks_.begin(); track != tracks_.end() && tracks_.size() > kTracksKept;) {
        bool kept = needed(track->first) || !track->second.owes_nothing() ||
                    (!resting_too && !track->second.usable(now));
        track = kept ? std::next(track) : tracks_.erase(track);
      }
    }
  }

 private:
  struct GivenUp {
    uint64_t request = 0;
    PeerKey worker;
    AskedMessage asked;
  };

  uint64_t next_request_ = 1;
  std::vector<Debt> debts_;
  std::deque<GivenUp> given_up_;
  WorkerTracks tracks_;
};

}  // namespace potluck
