// Several are asked for the same: because an answer is late, or to compare answers. The piece of
// work counts once in what its ticket is owed, from the first message to the answer that is taken;
// whatever else happens to the sides of a race changes nothing there.
//
// Much here ends in asking workers, which may fail sides of the same race: races go by their
// numbers, and no reference to one is used after that.
#include <algorithm>

#include "coordinator/dispatch/dispatcher.h"

namespace potluck {
namespace {

// Sides of one race. Beyond that the piece waits for one of them, or for the last deadline.
constexpr size_t kMostSides = 4;

}  // namespace

void Dispatcher::ask_again_for_late(TimePoint now) {
  // Each of the two moves the debt's time, and what they ask anew is late later: this ends.
  while (auto index = ledger_.find_if([&](const Debt& d) { return d.redispatch_at <= now; })) {
    redispatch(*index, now);
  }
  while (auto index = ledger_.find_if([&](const Debt& d) { return d.hedge_at <= now; })) {
    hedge(*index, now);
  }
}

// Holders that are glad to do all of it.
Distribution Dispatcher::choose_others(uint32_t layer, const RowCalls& calls,
                                       std::span<const PeerKey> except) {
  HolderView view = holders(except);
  view.least = Willingness::kGladly;
  return choose_holders(view, layer, calls, std::exchange(memory_.distribution, {}));
}

// Later than usual. Others are asked if they have less to do, and if the budget allows.
void Dispatcher::hedge(size_t index, TimePoint now) {
  ledger_.hedge_at(index, TimePoint::max());
  const Debt& debt = ledger_.debts()[index];
  if (debt.race != 0 || debt.deadline <= now || !races_.has_room()) return;
  Distribution chosen = choose_others(debt.work.layer, debt.calls, {&debt.worker, 1});
  HolderView view = holders({});
  uint64_t most = calls_ahead(view, debt.worker);
  bool less_loaded = std::ranges::all_of(chosen.shares(), [&](const Distribution::Share& share) {
    return share.calls.empty() || calls_ahead(view, share.worker) < most;
  });
  uint32_t messages = chosen.workers_asked();
  if (less_loaded && chosen.held_by_nobody().empty() && hedge_budget_.take(messages)) {
    log_.counts().hedges += messages;
    uint64_t race = open_race(index, false);
    races_.find(race)->hedge = 1;
    ask_side(race, chosen, true);
  }
  memory_.distribution = std::move(chosen);
}

// So late that something must be wrong. Others are asked in any case; it may still answer first.
void Dispatcher::redispatch(size_t index, TimePoint now) {
  const Debt& debt = ledger_.debts()[index];
  uint64_t number = debt.race;
  Race* race = races_.find(number);
  bool wanted = number == 0 || (race != nullptr && race->ticket != 0 && !race->answered);
  ledger_.redispatch_at(index, wanted ? now + kRedispatchFloor : TimePoint::max());
  if (!wanted) return;
  if (race != nullptr && race->complete_whole_side()) {  // it was only to be compared
    ledger_.redispatch_at(index, TimePoint::max());
    if (!race->check) end_waiting_for_comparison(number);
    return;
  }
  ledger_.became_late(index);
  if (race != nullptr && (race->sides.size() >= kMostSides || !race->sides[debt.side].whole))
    return;
  std::vector<PeerKey> asked = race != nullptr ? race->asked : std::vector{debt.worker};
  const RowCalls& calls = race != nullptr ? race->calls : debt.calls;
  Distribution chosen = choose_others(debt.work.layer, calls, asked);
  if (chosen.held_by_nobody().empty() && chosen.workers_asked() > 0) {
    ++log_.counts().retries;
    log_.asked_others(debt.worker, now - debt.asked.sent_at);
    ledger_.redispatch_at(index, TimePoint::max());
    ask_side(number != 0 ? number : open_race(index, false), chosen, true);
  }
  memory_.distribution = std::move(chosen);
}

// The debt becomes its first side.
uint64_t Dispatcher::open_race(size_t index, bool checked) {
  const Debt& debt = ledger_.debts()[index];
  Race race;
  race.ticket = debt.ticket;
  race.attempt = debt.work.attempt;
  race.checked = checked;
  race.calls = debt.calls;
  race.input = PieceInput::copy_of(*tickets_.at(debt.ticket).batch, debt.calls);
  race.asked = {debt.worker};
  race.sides.push_back({SideState::kAsked, true, debt.calls.size(), {}});
  uint64_t number = races_.open(std::move(race));
  ledger_.join_race(index, number);
  return number;
}

void Dispatcher::ask_side(uint64_t number, Distribution& chosen, bool whole) {
  Race& race = *races_.find(number);
  auto side = static_cast<uint32_t>(race.sides.size());
  race.sides.push_back({SideState::kAsked, whole, 0, {}});
  ++race.attempt;
  std::vector<PeerKey> workers;
  for (Distribution::Share& share : chosen.shares()) {
    if (share.calls.empty()) continue;
    WaitingCalls waiting{race.ticket, tickets_.at(race.ticket).batch, race.attempt,
                         memory_.lists.take()};
    std::swap(waiting.calls, share.calls);
    waiting.rows = count_rows(waiting.calls);
    waiting.race = number;
    waiting.side = side;
    race.sides[side].calls_left += waiting.calls.size();
    race.asked.push_back(share.worker);
    workers.push_back(share.worker);
    queues_.add(share.worker, std::move(waiting));
  }
  for (const PeerKey& worker : workers) settle(worker, {});
}

void Dispatcher::take_claim(const Debt& debt, const Partial& partial, ByteSpan tensor) {
  Race* race = races_.find(debt.race);
  if (race == nullptr || race->sides[debt.side].state != SideState::kAsked) return;
  Side& side = race->sides[debt.side];
  side.calls_left -= debt.calls.size();
  side.claims.push_back({debt.worker, race->input.renamed(debt.calls), partial.row_flags,
                         ByteVector(tensor.begin(), tensor.end())});
  if (side.calls_left > 0) return;
  side.state = SideState::kComplete;
  side_complete(debt.race, debt.side);
  shorten_comparison(debt.race, clock_.now() - debt.asked.sent_at);
}

void Dispatcher::side_complete(uint64_t number, uint32_t index) {
  Race& race = *races_.find(number);
  if (race.check) return;  // its outcome decides
  bool agrees = false;
  for (size_t other = 0; other < race.sides.size(); ++other) {
    if (other == index || race.sides[other].state != SideState::kComplete) continue;
    std::vector<uint32_t> rows = differing_rows(race, race.sides[index], race.sides[other]);
    if (!rows.empty()) {
      begin_check(number, std::move(rows));
      return;
    }
    found_alike(race.sides[index], race.sides[other]);
    agrees = true;
  }
  std::optional<size_t> whole = race.complete_whole_side();
  bool waits = whole && !race.answered && race.ticket != 0;
  if (waits && (agrees || !race.checked)) {
    answer_with(number, *whole);
  } else if (waits && race.count(SideState::kAsked) == 0) {
    end_waiting_for_comparison(number);
  }
  close_if_over(number);
}

// The other place where replies touch the answer: once for each race.
void Dispatcher::answer_with(uint64_t number, size_t side) {
  Race& race = *races_.find(number);
  Ticket& ticket = tickets_.at(race.ticket);
  ExpertSums sums = sums_of(race, race.sides[side]);
  size_t hidden = race.batch.input.columns;
  for (size_t row = 0; row < race.input.rows.size(); ++row) {
    int64_t* to = ticket.out->sums.data() + race.input.rows[row] * hidden;
    const int64_t* from = sums.sums.data() + row * hidden;
    for (size_t i = 0; i < hidden; ++i) {
      to[i] = static_cast<int64_t>(static_cast<uint64_t>(to[i]) + static_cast<uint64_t>(from[i]));
    }
    ticket.out->flags[race.input.rows[row]] |= sums.flags[row];
  }
  race.answered = true;
  --ticket.owed;
  log_.counts().remote_unit_calls += race.calls.size();
  if (race.hedge != 0 && side == race.hedge) ++log_.counts().hedges_won;
  // What was not sent yet need not be.
  for (uint32_t dropped : queues_.drop_race(number)) race.sides[dropped].state = SideState::kFailed;
}

// A worker of this side will not answer.
void Dispatcher::fail_side(uint64_t number, uint32_t side) {
  Race* race = races_.find(number);
  if (race == nullptr || race->sides[side].state != SideState::kAsked) return;
  race->sides[side].state = SideState::kFailed;
  queues_.drop_race(number, side);
  if (race->answered || race->ticket == 0 || race->check) {
    close_if_over(number);
    return;
  }
  size_t hopes = race->count(SideState::kAsked, true) + race->count(SideState::kComplete, true);
  if (hopes == 0) {
    ++log_.counts().retries;
    std::vector<PeerKey> asked = race->asked;
    redistribute(number, asked);
  } else if (race->complete_whole_side() && race->count(SideState::kAsked) == 0) {
    end_waiting_for_comparison(number);
  }
}

// Starts over, as if no worker had been asked yet.
void Dispatcher::redistribute(uint64_t number, std::span<const PeerKey> except) {
  Race& race = *races_.find(number);
  uint64_t ticket = race.ticket;
  uint32_t attempt = race.attempt + 1;
  RowCalls calls = std::move(race.calls);
  queues_.drop_race(number);
  races_.close(number);
  --tickets_.at(ticket).owed;
  distribute(ticket, attempt, calls, except, {});
}

void Dispatcher::close_if_over(uint64_t number) {
  Race* race = races_.find(number);
  if (race == nullptr || race->check) return;
  bool unwanted = race->answered || race->ticket == 0;
  if (unwanted && race->count(SideState::kAsked) == 0) races_.close(number);
}

// The ticket ends. What is still to come is kept for comparison if there is an answer to compare it
// with.
void Dispatcher::forget_races(uint64_t ticket) {
  std::vector<uint64_t> unanswered;
  races_.visit([&](uint64_t number, Race& race) {
    if (race.ticket != ticket) return;
    race.ticket = 0;
    if (!race.answered) unanswered.push_back(number);
  });
  for (uint64_t number : unanswered) {
    auto unwanted = [&](const Debt& debt) { return debt.race == number; };
    while (auto debt = ledger_.find_if(unwanted)) end(ledger_.drop(*debt));
    Race& race = *races_.find(number);
    for (Side& side : race.sides) {
      if (side.state == SideState::kAsked) side.state = SideState::kFailed;
    }
    close_if_over(number);
  }
}

}  // namespace potluck
