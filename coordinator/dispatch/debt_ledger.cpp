#include "coordinator/dispatch/debt_ledger.h"

#include <algorithm>
#include <utility>

namespace potluck {
namespace {

TimePoint after(TimePoint now, std::optional<Duration> wait) {
  return wait ? now + *wait : TimePoint::max();
}

}  // namespace

void DebtLedger::add(Debt debt, uint64_t tensor_bytes, TimePoint now) {
  WorkerTrack& track = tracks_[debt.worker];
  debt.deadline = now + track.deadline(debt.rows);
  debt.redispatch_at = after(now, track.redispatch_after(debt.rows));
  debt.hedge_at = after(now, track.hedge_after(debt.rows));
  debt.alone = track.owes_nothing();
  auto calls = static_cast<uint32_t>(debt.calls.size());
  debt.asked = track.asked(now, debt.rows, calls, tensor_bytes);
  debts_.push_back(std::move(debt));
}

std::optional<size_t> DebtLedger::find(uint64_t request) const {
  return find_if([&](const Debt& debt) { return debt.work.request == request; });
}

std::optional<TimePoint> DebtLedger::next_deadline() const {
  std::optional<TimePoint> next;
  for (const Debt& debt : debts_) {
    if (!next || debt.deadline < *next) next = debt.deadline;
  }
  return next;
}

std::optional<TimePoint> DebtLedger::next_due() const {
  std::optional<TimePoint> next;
  for (const Debt& debt : debts_) {
    TimePoint due = std::min({debt.deadline, debt.redispatch_at, debt.hedge_at});
    if (!next || due < *next) next = due;
  }
  return next;
}

void DebtLedger::join_race(size_t index, uint64_t race) {
  debts_[index].race = race;
}

void DebtLedger::became_late(size_t index) {
  tracks_[debts_[index].worker].became_late(&debts_[index].asked);
}

void DebtLedger::excuse(TimePoint now) {
  for (Debt& debt : debts_) {
    if (debt.hedge_at <= now) debt.hedge_at = TimePoint::max();
    if (debt.redispatch_at <= now) debt.redispatch_at = now + kRedispatchFloor;
    if (debt.deadline <= now) debt.deadline = now + tracks_[debt.worker].deadline(debt.rows);
  }
}

// Only good answers say how fast a worker computes: a refusal takes no time, and would make the
// next deadlines too short for honest work.
Debt DebtLedger::pay(size_t index, TimePoint now, bool cold) {
  WorkerTrack& track = tracks_[debts_[index].worker];
  track.measured(now, debts_[index].asked, cold);
  track.answered_well();
  return drop(index);
}

Debt DebtLedger::give_up(size_t index) {
  Debt debt = drop(index);
  // Kept for when it answers late: without that measurement a worker slower than its deadline would
  // miss every one.
  given_up_.push_back({debt.work.request, debt.worker, debt.asked});
  if (given_up_.size() > kGivenUpKept) given_up_.pop_front();
  return debt;
}

// The last debt takes its place: order means nothing, and erasing from the middle would move all
// that follow.
Debt DebtLedger::drop(size_t index) {
  Debt debt = std::move(debts_[index]);
  if (index + 1 < debts_.size()) debts_[index] = std::move(debts_.back());
  debts_.pop_back();
  tracks_[debt.worker].settled(debt.asked);
  return debt;
}

void DebtLedger::answered_late(const PeerKey& worker, uint64_t request, TimePoint now, bool cold) {
  auto found = std::find_if(given_up_.begin(), given_up_.end(), [&](const GivenUp& debt) {
    return debt.request == request && debt.worker == worker;
  });
  // Not its own debt, or a made-up one: neither says anything about its speed.
  if (found == given_up_.end()) return;
  if (auto track = tracks_.find(worker); track != tracks_.end()) {
    track->second.measured(now, found->asked, cold);
    track->second.answered_late();
  }
  given_up_.erase(found);
}

void DebtLedger::answered_badly(const PeerKey& worker, TimePoint now) {
  tracks_[worker].answered_badly(now);
}

void DebtLedger::missed_deadline(const PeerKey& worker, TimePoint now) {
  tracks_[worker].missed_deadline(now);
}

void DebtLedger::heard_from(const PeerKey& worker) {
  // Only workers that were asked something have a track: a peer that merely talks must not take
  // memory.
  auto track = tracks_.find(worker);
  if (track != tracks_.end()) track->second.heard();
}

}  // namespace potluck
