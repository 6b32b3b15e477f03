// How work is spread, sent and taken back. What happens where several are asked for the same is in
// dispatcher_races.cpp, and how answers are compared in dispatcher_checks.cpp.
#include "coordinator/dispatch/dispatcher.h"

#include <algorithm>

#include "coordinator/dispatch/reply_check.h"
#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// After this many holders have failed calls, the coordinator computes them: an end is certain.
constexpr uint32_t kAttempts = 4;

// The worker's own word; it moves nothing but the estimate of its own speed.
bool was_cold(const Partial& partial) {
  return partial.timings.cache_misses > 0;
}

}  // namespace

Dispatcher::Dispatcher(uint64_t epoch, uint32_t slices, const Manifest& manifest,
                       const ClusterState& cluster, const Clock& clock,
                       const DispatchOptions& options)
    : terms_{epoch, slices, manifest},
      last_resort_(options.last_resort),
      cluster_(cluster),
      clock_(clock),
      log_(cluster),
      trust_(options.verify, options.seed) {
  CHECK(slices > 0 && slices <= limits::kSlices);
}

uint64_t Dispatcher::submit(const ExpertBatch& batch, ExpertSums* out) {
  const ManifestLayer& layer = layer_of(batch);
  out->reset(batch.tokens(), layer.shape.hidden);
  if (learned_ != nullptr) learned_->use.used(batch.layer, batch.experts);
  uint64_t number = tickets_.open(batch, out, memory_.lists.take());
  // Lists, and what choose_holders() fills, are taken out of memory_ while in use and put back
  // afterwards: distribute() can be entered again from below (ask, settle, give_waiting_away), and
  // each entry needs its own.
  Prefetch prefetch = prefetch_holders(batch, std::exchange(memory_.prefetch, {}));
  RowCalls calls = memory_.lists.take();
  list_calls(batch, layer, terms_.slices, &calls);
  distribute(number, 0, calls, {}, prefetch);
  memory_.lists.give_back(std::move(calls));
  memory_.prefetch = std::move(prefetch);
  ask_for_comparisons();
  const Ticket& ticket = tickets_.at(number);
  // Round trips are counted: a batch that is all local work makes none.
  if (ticket.owed + ticket.waiting > 0) ++log_.counts().batches;
  return number;
}

const ManifestLayer& Dispatcher::layer_of(const ExpertBatch& batch) const {
  const ManifestLayer* layer = terms_.manifest.layer(batch.layer);
  CHECK(layer != nullptr && batch.input.columns == layer->shape.hidden);
  return *layer;
}

HolderView Dispatcher::holders(std::span<const PeerKey> except) const {
  return {cluster_, ledger_.tracks(), queues_, terms_.slices, clock_.now(), except};
}

// Chooses holders as the next batch will, should its experts be the likely ones.
Dispatcher::Prefetch Dispatcher::prefetch_holders(const ExpertBatch& batch, Prefetch memory) {
  Prefetch prefetch = std::move(memory);
  prefetch.clear();
  if (batch.prefetch.empty()) return prefetch;
  const ManifestLayer* next = terms_.manifest.layer(batch.layer + 1);
  if (next == nullptr) return prefetch;
  RowCalls calls = memory_.lists.take();
  list_prefetch(batch, *next, terms_.slices, &calls);
  Distribution chosen =
      choose_holders(holders({}), next->layer, calls, std::exchange(memory_.distribution, {}));
  for (const Distribution::Unit& unit : chosen.units()) {
    if (unit.share == Distribution::kNobody) continue;
    prefetch.push_back({chosen.shares()[static_cast<size_t>(unit.share)].worker, unit.id});
  }
  memory_.distribution = std::move(chosen);
  memory_.lists.give_back(std::move(calls));
  return prefetch;
}

// What no worker can take: work for the coordinator where it has the experts, else it waits.
void Dispatcher::strand(Ticket& ticket, std::span<const RowCall> calls) {
  if (last_resort_) {
    ticket.local.add(calls);
    return;
  }
  for (const RowCall& call : calls) {
    if (cluster_.is_own(ticket.batch->layer, call.expert)) {
      ticket.local.add({&call, 1});
    } else {
      ticket.stranded.push_back(call);
    }
  }
  if (!ticket.stranded.empty() && !offer_at_) offer_at_ = clock_.now() + kOfferAgain;
}

// As if they had just been submitted: holders that failed them before may be asked again.
void Dispatcher::offer_stranded(TimePoint now) {
  if (!offer_at_ || now < *offer_at_) return;
  offer_at_.reset();
  for (uint64_t number : tickets_.with_stranded()) {
    RowCalls calls = std::exchange(tickets_.at(number).stranded, {});
    distribute(number, 0, calls, {}, {});
  }
}

std::optional<TimePoint> Dispatcher::next_due() const {
  std::optional<TimePoint> due = ledger_.next_due();
  if (offer_at_) due = due ? std::min(*due, *offer_at_) : *offer_at_;
  return due;
}

// Gives the calls to holders of their units; what no worker can take becomes local work.
void Dispatcher::distribute(uint64_t ticket, uint32_t attempt, const RowCalls& calls,
                            std::span<const PeerKey> except, const Prefetch& prefetch) {
  Ticket& entry = tickets_.at(ticket);
  if (attempt >= kAttempts) {
    strand(entry, calls);
    return;
  }
  Distribution chosen = choose_holders(holders(except), entry.batch->layer, calls,
                                       std::exchange(memory_.distribution, {}));
  strand(entry, chosen.held_by_nobody());
  for (Distribution::Share& share : chosen.shares()) {
    if (!share.calls.empty()) ask(share, ticket, attempt, prefetch);
  }
  memory_.distribution = std::move(chosen);
}

void Dispatcher::ask(Distribution::Share& share, uint64_t ticket, uint32_t attempt,
                     const Prefetch& prefetch) {
  Ticket& entry = tickets_.at(ticket);
  WaitingCalls waiting{ticket, entry.batch, attempt, memory_.lists.take()};
  std::swap(waiting.calls, share.calls);
  waiting.rows = count_rows(waiting.calls);
  queues_.add(share.worker, std::move(waiting));
  // Before settle(), which may send the calls or give them to others, and then counts them down.
  ++entry.waiting;
  settle(share.worker, prefetch);
}

// Sends what the worker can take now. One that is not trusted with work any more loses what waits
// for it; otherwise, if something still waits, the worker owes an answer that has a deadline.
void Dispatcher::settle(const PeerKey& worker, const Prefetch& prefetch) {
  if (queues_.front(worker) == nullptr) return;
  if (!ledger_.track(worker).usable(clock_.now())) {
    give_waiting_away(worker);
    return;
  }
  while (send_next(worker, prefetch)) {
  }
}

bool Dispatcher::send_next(const PeerKey& worker, const Prefetch& prefetch) {
  const WaitingCalls* next = queues_.front(worker);
  if (next == nullptr) return false;
  const ExpertBatch& batch = *next->batch;
  const WorkerTrack& track = ledger_.track(worker);
  uint32_t rows = rows_of_next(*next, track.rows_per_message());
  uint64_t row_bytes = activation_wire_bytes(batch.input.form, batch.input.columns);
  if (!track.takes_more(rows, rows * row_bytes, clock_.now())) return false;
  Debt debt;
  debt.work = {terms_.epoch, ledger_.next_request(), batch.layer, next->attempt};
  debt.worker = worker;
  debt.ticket = next->ticket;
  debt.race = next->race;
  debt.side = next->side;
  CallQueues::Cut cut = queues_.cut_front(worker, rows, &memory_.lists);
  debt.calls = std::move(cut.calls);
  debt.rows = cut.rows;
  ++log_.counts().messages;
  if (debt.race == 0) {  // a race is counted once, however many are asked
    Ticket& ticket = tickets_.at(debt.ticket);
    if (cut.last) --ticket.waiting;
    ++ticket.owed;
    hedge_budget_.message_sent();
    if (trust_.wants_check(worker)) to_compare_.push_back(debt.work.request);
  }
  outgoing_.push_back(
      build_call({debt.work, worker, terms_.slices}, batch, debt.calls, debt.rows, prefetch));
  uint64_t bytes = outgoing_.back().tensor.size();
  ledger_.add(std::move(debt), bytes, clock_.now());
  return true;
}

void Dispatcher::give_waiting_away(const PeerKey& worker) {
  for (WaitingCalls& waiting : queues_.take_all(worker)) {
    if (waiting.race != 0) {
      fail_side(waiting.race, waiting.side);
    } else {
      ++log_.counts().retries;
      --tickets_.at(waiting.ticket).waiting;
      // Without prefetch: it was for the moment at which the batch was submitted.
      distribute(waiting.ticket, waiting.attempt + 1, waiting.calls, {&worker, 1}, {});
    }
    memory_.lists.give_back(std::move(waiting.calls));
  }
}

void Dispatcher::give_away(size_t index) {
  Debt debt = ledger_.give_up(index);
  if (debt.race != 0) {
    fail_side(debt.race, debt.side);
  } else {
    ++log_.counts().retries;
    --tickets_.at(debt.ticket).owed;
    distribute(debt.ticket, debt.work.attempt + 1, debt.calls, {&debt.worker, 1}, {});
  }
  memory_.lists.give_back(std::move(debt.calls));
}

// Ends a debt that no other worker has to take over.
void Dispatcher::end(Debt debt) {
  if (debt.race == 0) --tickets_.at(debt.ticket).owed;
  memory_.lists.give_back(std::move(debt.calls));
}

void Dispatcher::on_partial(const PeerKey& from, const Partial& partial, ByteSpan tensor) {
  heard_from(from);
  std::optional<size_t> debt = ledger_.find(partial.work.request);
  if (!debt) {
    ++log_.counts().late_replies;
    ledger_.answered_late(from, partial.work.request, clock_.now(), was_cold(partial));
  } else if (is_owed(ledger_.debts()[*debt], from, partial.work)) {
    on_answer(*debt, partial, tensor);
  } else {
    // The worker that was asked may still answer; if not, the deadline will tell.
    log_.was_not_asked(from, partial.work);
  }
  ask_for_comparisons();
}

void Dispatcher::on_answer(size_t index, const Partial& partial, ByteSpan tensor) {
  const Debt& debt = ledger_.debts()[index];
  PeerKey worker = debt.worker;
  // An honest worker whose disk lost a grain says so: it fetches it again, and is not made to rest.
  if (reports_missing_unit(debt, partial)) {
    lost_units_.emplace_back(worker, partial.lost);
    give_away(index);
  } else if (Status accepted = accept(debt, partial, tensor); !accepted) {
    log_.refused_answer(worker, accepted.error());
    ledger_.answered_badly(worker, clock_.now());
    give_away(index);
  } else {
    take_answer(index, partial, tensor);
  }
  settle(worker, {});
}

Status Dispatcher::accept(const Debt& debt, const Partial& partial, ByteSpan tensor) {
  TimePoint start = clock_.now();
  Status accepted = check_reply(debt, partial, tensor);
  if (accepted) {
    const ChunkPlan& plan = terms_.manifest.layer(debt.work.layer)->plan;
    int64_t limit = largest_honest_sum(debt.calls, plan, terms_.slices);
    // The only place where a reply touches the answer, except for races. The debt ends right after
    // it, so nothing is added twice, and a late reply finds no debt.
    accepted =
        debt.race == 0
            ? memory_.adder.add(debt.calls, partial, tensor, limit, tickets_.at(debt.ticket).out)
            : memory_.adder.check(partial, tensor, limit,
                                  terms_.manifest.layer(debt.work.layer)->shape.hidden);
  }
  log_.counts().gather += nanoseconds(clock_.now() - start);
  return accepted;
}

void Dispatcher::take_answer(size_t index, const Partial& partial, ByteSpan tensor) {
  TimePoint now = clock_.now();
  Debt debt = ledger_.pay(index, now, was_cold(partial));
  learn(debt, partial, tensor.size(), now);
  log_.worked(partial.timings);
  log_.keep(debt, partial.timings, now);
  if (debt.race != 0) {
    take_claim(debt, partial, tensor);
  } else {
    log_.counts().remote_unit_calls += debt.calls.size();
    uint64_t& slowest = tickets_.at(debt.ticket).slowest_compute;
    slowest = std::max(slowest, partial.timings.compute);
  }
  end(std::move(debt));
}

void Dispatcher::learn(const Debt& debt, const Partial& partial, uint64_t tensor_bytes,
                       TimePoint now) {
  // Behind other work it was not the one that took the time.
  if (learned_ == nullptr || !debt.alone) return;
  const ManifestLayer& layer = *terms_.manifest.layer(debt.work.layer);
  ObservedSpeeds::Answer answer;
  answer.rows = debt.rows;
  answer.weight_bytes =
      debt.calls.size() * (expert_bytes(layer.shape, layer.plan) / terms_.slices) / debt.rows;
  answer.wire_bytes = debt.asked.bytes + tensor_bytes;
  answer.took = now - debt.asked.sent_at;
  answer.computed = Duration(
      static_cast<Duration::rep>(std::min<uint64_t>(partial.timings.compute, uint64_t{1} << 62)));
  answer.busy = answer.computed;
  answer.busy += Duration(
      static_cast<Duration::rep>(std::min<uint64_t>(partial.timings.disk, uint64_t{1} << 61)));
  learned_->speeds.record(debt.worker, answer);
}

void Dispatcher::on_worker_lost(const PeerKey& worker) {
  // Not sent yet; the work in them goes to others below.
  std::erase_if(outgoing_, [&](const OutgoingMessage& message) { return message.peer == worker; });
  auto owed = [&](const Debt& debt) { return debt.worker == worker; };
  while (auto debt = ledger_.find_if(owed)) give_away(*debt);
  give_waiting_away(worker);
  forget_workers();
  ask_for_comparisons();
}

void Dispatcher::on_tick() {
  TimePoint now = clock_.now();
  give_up_overdue(now);
  ask_again_for_late(now);
  offer_stranded(now);
  ask_for_comparisons();
}

void Dispatcher::give_up_overdue(TimePoint now) {
  auto overdue = [&](const Debt& debt) { return debt.deadline <= now; };
  // Searched anew each time, since giving a debt away adds others. Those have later deadlines, so
  // this ends.
  while (auto index = ledger_.find_if(overdue)) {
    const Debt& debt = ledger_.debts()[*index];
    PeerKey worker = debt.worker;
    ledger_.missed_deadline(worker, now);
    log_.missed_deadline(worker, now - debt.asked.sent_at);
    give_away(*index);
    settle(worker, {});
  }
}

void Dispatcher::forget(uint64_t number) {
  forget_races(number);
  auto unwanted = [&](const Debt& debt) { return debt.ticket == number && debt.race == 0; };
  // Before the ticket closes: the debts lead to it.
  while (auto debt = ledger_.find_if(unwanted)) end(ledger_.drop(*debt));
  queues_.drop_ticket(number);
  Ticket ticket = tickets_.close(number);
  log_.counts().slowest_compute += ticket.slowest_compute;
  memory_.lists.give_back(ticket.local.take_memory());
  // What waits behind it is next.
  for (const auto& [worker, queue] : queues_.queues()) settle(worker, {});
  ask_for_comparisons();
}

void Dispatcher::forget_workers() {
  auto member = [&](const PeerKey& worker) { return cluster_.worker(worker) != nullptr; };
  ledger_.forget_others(
      [&](const PeerKey& worker) { return member(worker) || queues_.front(worker) != nullptr; },
      clock_.now());
  queues_.forget_others(member);
  trust_.forget_others(member);
}

BreakerState Dispatcher::breaker(const PeerKey& worker) const {
  auto track = ledger_.tracks().find(worker);
  return track == ledger_.tracks().end() ? BreakerState::kClosed
                                         : track->second.breaker(clock_.now());
}

std::vector<OutgoingMessage> Dispatcher::take_outgoing() {
  return std::exchange(outgoing_, {});
}

std::optional<LocalWork> Dispatcher::take_local_work() {
  // Checks first: while they are open, answers wait, or a wrong one may still be used.
  if (auto check = take_check_work()) return check;
  auto* found = tickets_.first_with_local_work();
  if (found == nullptr) return std::nullopt;
  Ticket& ticket = found->second;
  const ChunkPlan& plan = terms_.manifest.layer(ticket.batch->layer)->plan;
  LocalCalls::Part part = ticket.local.take(plan, terms_.slices);
  log_.counts().local_unit_calls += part.unit_calls;
  ++ticket.local_running;
  return LocalWork{found->first, ticket.batch, ticket.out, std::move(part.calls), 0};
}

void Dispatcher::local_done(uint64_t number) {
  Ticket& ticket = tickets_.at(number);
  CHECK(ticket.local_running > 0);
  --ticket.local_running;
}

std::vector<PeerKey> Dispatcher::waiting_for() const {
  TimePoint now = clock_.now();
  std::vector<PeerKey> workers;
  for (const Debt& debt : ledger_.debts()) {
    if (now - debt.asked.sent_at < kWaitingAfter) continue;
    if (std::find(workers.begin(), workers.end(), debt.worker) == workers.end()) {
      workers.push_back(debt.worker);
    }
  }
  return workers;
}

std::vector<std::pair<PeerKey, std::vector<UnitId>>> Dispatcher::take_lost_units() {
  return std::exchange(lost_units_, {});
}

}  // namespace potluck
