// How answers are compared: with another holder's, or with a computation of the coordinator's own,
// which also decides who was wrong when two differ. Two against one would do where all three are
// strangers to one another; here the coordinator has the model file, and its word needs no
// majority.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "coordinator/dispatch/dispatcher.h"

namespace potluck {
namespace {

// Of a long message, so many rows are compared: a prefill would be computed twice otherwise.
constexpr uint32_t kRowsCompared = 8;
// Rows of an answer that the coordinator computes itself. It reads and lays out their experts
// meanwhile, and computes nothing else.
constexpr uint32_t kRowsChecked = 1;
// It does so for a fiftieth of the time at most, probation aside.
constexpr int64_t kOwnCheckPause = 50;

}  // namespace

// After everything else: asking may send what other workers are to be compared in.
void Dispatcher::ask_for_comparisons() {
  while (!to_compare_.empty()) {
    uint64_t request = to_compare_.back();
    to_compare_.pop_back();
    std::optional<size_t> debt = ledger_.find(request);
    if (debt && ledger_.debts()[*debt].race == 0) compare(*debt);
  }
}

// At once, so that the second answer comes about when the first one does.
void Dispatcher::compare(size_t index) {
  const Debt& debt = ledger_.debts()[index];
  bool all = trust_.mode() == VerifyMode::kAll;
  if (!all && !races_.has_room()) return;
  bool whole = all || debt.rows <= kRowsCompared;
  RowCalls calls = whole ? debt.calls : some_rows(debt.calls, kRowsCompared);
  Distribution chosen = choose_others(debt.work.layer, calls, {&debt.worker, 1});
  if (chosen.held_by_nobody().empty()) {
    uint64_t race = open_race(index, true);
    log_.counts().comparisons += chosen.workers_asked();
    ask_side(race, chosen, whole);
  } else if (last_resort_ && (all || own_check_is_due(debt.worker))) {
    races_.find(open_race(index, true))->own_copy = true;
  }
  memory_.distribution = std::move(chosen);
}

// The first answer took so long. The second one is awaited for three times that from now on; if it
// comes later it is still evidence.
void Dispatcher::shorten_comparison(uint64_t number, Duration took) {
  const Race* race = races_.find(number);
  bool waits = race != nullptr && race->checked && !race->answered && !race->check;
  if (!waits || trust_.mode() == VerifyMode::kAll || !race->complete_whole_side()) return;
  TimePoint end = clock_.now() + std::max(kRedispatchFloor, kTailMargin * took);
  for (size_t i = 0; i < ledger_.debts().size(); ++i) {
    const Debt& debt = ledger_.debts()[i];
    if (debt.race == number) ledger_.redispatch_at(i, std::min(debt.redispatch_at, end));
  }
}

bool Dispatcher::own_check_is_due(const PeerKey& worker) const {
  return trust_.on_probation(worker) || clock_.now() >= next_own_check_;
}

// So many different ones, drawn; in their order.
RowCalls Dispatcher::some_rows(const RowCalls& calls, uint32_t rows) {
  std::vector<uint32_t> named;
  for (size_t i = 0; i < calls.size(); i = end_of_row(calls, i)) named.push_back(calls[i].row);
  std::set<uint32_t> drawn;
  while (drawn.size() < std::min<size_t>(rows, named.size())) {
    drawn.insert(named[trust_.draw() % named.size()]);
  }
  RowCalls some;
  std::ranges::copy_if(calls, std::back_inserter(some),
                       [&](const RowCall& call) { return drawn.contains(call.row); });
  return some;
}

void Dispatcher::found_alike(const Side& a, const Side& b) {
  ++log_.counts().answers_alike;
  std::set<PeerKey> workers;
  for (const Side* side : {&a, &b}) {
    for (const Claim& claim : side->claims) workers.insert(claim.worker);
  }
  for (const PeerKey& worker : workers) trust_.found_right(worker);
}

// There is an answer, and no second one to compare it with is expected soon.
void Dispatcher::end_waiting_for_comparison(uint64_t number) {
  Race& race = *races_.find(number);
  bool all = trust_.mode() == VerifyMode::kAll;
  if (!last_resort_ || !race.checked || !(all || race.own_copy)) {
    answer_with(number, *race.complete_whole_side());
    close_if_over(number);
    return;
  }
  RowCalls calls = race.input.renamed(race.calls);
  if (!all) calls = some_rows(calls, kRowsChecked);
  std::vector<uint32_t> rows;
  for (size_t i = 0; i < calls.size(); i = end_of_row(calls, i)) rows.push_back(calls[i].row);
  begin_check(number, std::move(rows));
}

// Every claim about these rows is computed.
void Dispatcher::begin_check(uint64_t number, std::vector<uint32_t> rows) {
  Race& race = *races_.find(number);
  OwnCheck check;
  check.rows = std::move(rows);
  for (size_t side = 0; side < race.sides.size(); ++side) {
    if (race.sides[side].state != SideState::kComplete) continue;
    for (size_t claim = 0; claim < race.sides[side].claims.size(); ++claim) {
      RowCalls calls;
      std::ranges::copy_if(
          race.sides[side].claims[claim].calls, std::back_inserter(calls),
          [&](const RowCall& call) { return std::ranges::binary_search(check.rows, call.row); });
      if (calls.empty()) continue;
      OwnCheck::Job job;
      job.side = side;
      job.claim = claim;
      job.calls.add(calls);
      job.truth.reset(static_cast<uint32_t>(race.input.rows.size()), race.batch.input.columns);
      check.jobs.push_back(std::move(job));
    }
  }
  race.check = std::move(check);
}

bool Dispatcher::has_local_work() const {
  bool checks = false;
  races_.visit([&](uint64_t, const Race& race) { checks |= race.check && !race.check->out; });
  return checks || tickets_.has_local_work();
}

std::optional<LocalWork> Dispatcher::take_check_work() {
  std::optional<LocalWork> work;
  races_.visit([&](uint64_t number, Race& race) {
    if (work || !race.check || race.check->out) return;
    OwnCheck& check = *race.check;
    OwnCheck::Job& job = check.jobs[check.next];
    const ChunkPlan& plan = terms_.manifest.layer(race.input.layer)->plan;
    LocalCalls::Part part = job.calls.take(plan, terms_.slices);
    log_.counts().own_check_calls += part.unit_calls;
    if (job.calls.empty()) ++check.next;
    check.out = true;
    check_began_ = clock_.now();
    work = LocalWork{race.ticket, &race.batch, &job.truth, std::move(part.calls), number};
  });
  return work;
}

std::optional<uint64_t> Dispatcher::check_done(uint64_t number, bool computed) {
  Race& race = *races_.find(number);
  race.check->took += clock_.now() - check_began_;
  next_own_check_ = clock_.now() + kOwnCheckPause * race.check->took;
  race.check->out = false;
  if (computed) {
    if (race.check->next == race.check->jobs.size()) judge(number);
    ask_for_comparisons();
    return std::nullopt;
  }
  race.check.reset();
  std::optional<size_t> whole = race.complete_whole_side();
  if (race.answered || race.ticket == 0) {
    close_if_over(number);
    return std::nullopt;
  }
  // It is the only answer, so no other one differs from it.
  if (whole && race.count(SideState::kComplete) == 1 && trust_.mode() != VerifyMode::kAll) {
    answer_with(number, *whole);
    close_if_over(number);
    return std::nullopt;
  }
  return race.ticket;
}

// The correct sums are known for the rows that were checked. On all other rows the answers agree.
void Dispatcher::judge(uint64_t number) {
  Race& race = *races_.find(number);
  std::set<PeerKey> right;
  std::set<PeerKey> wrong;
  for (const OwnCheck::Job& job : race.check->jobs) {
    Side& side = race.sides[job.side];
    const PeerKey& worker = side.claims[job.claim].worker;
    bool is_true = claim_is_true(race, *race.check, job);
    (is_true ? right : wrong).insert(worker);
    if (!is_true) side.state = SideState::kFailed;
  }
  ++log_.counts().own_checks;
  race.check.reset();
  for (const PeerKey& worker : right) {
    if (!wrong.contains(worker)) trust_.found_right(worker);
  }
  for (const PeerKey& worker : wrong) accuse(worker, race.input.layer);
  if (!race.answered && race.ticket != 0) {
    if (auto whole = race.complete_whole_side()) {
      answer_with(number, *whole);
    } else if (race.count(SideState::kAsked, true) == 0) {
      std::vector<PeerKey> liars(wrong.begin(), wrong.end());
      redistribute(number, liars);
      return;
    }
  }
  close_if_over(number);
}

void Dispatcher::accuse(const PeerKey& worker, uint32_t layer) {
  ++distrusts_;
  trust_.found_wrong(worker);
  log_.found_wrong(worker, layer);
  liars_.push_back({worker, fmt::format("a wrong answer in layer {}", layer)});
}

}  // namespace potluck
