// Dispatcher: spreads one batch of expert work over the workers that hold the units, collects the
// partial sums, and sees to it that every unit is computed exactly once into the answer, no matter
// which workers die meanwhile. A state machine: batch, reply or tick in, messages and local work
// out. One thread.
//
//   submit -> one Compute per worker concerned, or several of about a second's work each, sent as
//             the worker answers; units that no worker holds -> local work
//   reply  -> checked against the outstanding debt, then added (integers: order does not matter)
//             or, without a last resort, calls that wait until a worker has their units
//   late   -> where other holders are ready, they are asked as well, and the first answer that is
//             complete counts: a race. Where only the coordinator itself is left, it waits longer;
//             then the debt, and what the worker was not asked yet, becomes local work. A reply
//             that comes after that finds no debt, is counted, dropped
//   check  -> some calls (trust_book) go to two workers at once, and the answer counts when both
//             agree. If they differ, or no other worker holds the units, the coordinator computes
//             the calls itself. A worker that answered wrongly is reported (take_liars()), and
//             steps under way have to be repeated (distrusts())
//
// It joins parts that know nothing of one another's work:
//
//   row_calls      batch -> the units that apply to its rows
//   holder_choice  who holds what, who is trusted, calls -> a distribution (pure)
//   call_queues    what a worker will be asked, cut into messages
//   call_builder   calls of one worker -> a message (pure)
//   debt_ledger    what each worker owes, and how it has paid
//   reply_check    a reply against its debt -> why it is refused, if it is (pure)
//   reply_adder    a reply that passed -> the answer
//   race_book      pieces of work that several were asked for, and what they said
//   trust_book     whose answers are compared how often
//   hedge_budget   how often another one may be asked because an answer is merely late
//   local_calls    what is left to the coordinator
//   ticket_book    which batches are under way
//   dispatch_log   what is counted and told
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/dispatch/call_builder.h"
#include "coordinator/dispatch/call_queues.h"
#include "coordinator/dispatch/debt_ledger.h"
#include "coordinator/dispatch/dispatch_log.h"
#include "coordinator/dispatch/hedge_budget.h"
#include "coordinator/dispatch/holder_choice.h"
#include "coordinator/dispatch/race_book.h"
#include "coordinator/dispatch/reply_adder.h"
#include "coordinator/dispatch/ticket_book.h"
#include "coordinator/dispatch/trust_book.h"
#include "coordinator/plan/pool_learning.h"
#include "engine/base/clock.h"

namespace potluck {

// A worker that has owed an answer for this long is worth a probe.
inline constexpr Duration kWaitingAfter = std::chrono::milliseconds(30);
// Calls that no worker can take are offered to holders again so often, without a last resort.
inline constexpr Duration kOfferAgain = std::chrono::milliseconds(100);

// Work of a batch that the coordinator must do itself, or computes to check an answer.
struct LocalWork {
  uint64_t ticket = 0;
  const ExpertBatch* batch = nullptr;
  ExpertSums* out = nullptr;
  std::vector<ExpertCall> calls;
  uint64_t check = 0;  // its name; 0: it belongs to the ticket
};

struct DispatchOptions {
  VerifyMode verify = VerifyMode::kOff;
  uint64_t seed = 0;  // of which answers are compared; from Entropy, known to no worker
  // Whether the coordinator can compute any expert itself. If not, what no worker can take waits
  // for one that can, and where answers differ there is nothing to judge them by.
  bool last_resort = true;
};

// A worker that answered wrongly.
struct Liar {
  PeerKey worker;
  std::string reason;
};

class Dispatcher {
 public:
  // References must outlive the object.
  Dispatcher(uint64_t epoch, uint32_t slices, const Manifest& manifest, const ClusterState& cluster,
             const Clock& clock, const DispatchOptions& options = {});

  // What is seen of experts' use and of workers' speed goes there; must outlive the dispatcher.
  void learn_into(PoolLearning* learned) { learned_ = learned; }
  // Returns the ticket. batch and out stay in place until the ticket is done.
  uint64_t submit(const ExpertBatch& batch, ExpertSums* out);
  void on_partial(const PeerKey& from, const Partial& partial, ByteSpan tensor);
  // Any message came from this worker. If it was overdue, it is given work again after its rest.
  void heard_from(const PeerKey& worker) { ledger_.heard_from(worker); }
  // The worker will not answer what it was asked: it is gone, or it has started anew. What was
  // learned about it stays, a rest that it has earned, too.
  void on_worker_lost(const PeerKey& worker);
  // Hand in the replies that have arrived before calling this: deadlines are judged here.
  void on_tick();
  // Time passed in which nothing could be heard: what became due meanwhile is due later.
  void excuse_silence() { ledger_.excuse(clock_.now()); }

  bool done(uint64_t ticket) const { return tickets_.at(ticket).done(); }
  void forget(uint64_t ticket);  // ends a done (or abandoned) ticket

  std::vector<OutgoingMessage> take_outgoing();
  // The caller computes it into `out` and then calls local_done(), or check_done() for a check. A
  // few experts at a time, so that messages can be handled in between.
  std::optional<LocalWork> take_local_work();
  bool has_local_work() const;
  void local_done(uint64_t ticket);
  // `computed`: the experts could be read. Otherwise nothing is known of the answer; the ticket
  // that can never be done because of it is returned, for the caller to end.
  std::optional<uint64_t> check_done(uint64_t check, bool computed);
  // Workers that have owed an answer for a while: worth a probe, to learn early that one is gone.
  std::vector<PeerKey> waiting_for() const;
  // visit(worker, when it will have owed an answer for a while), for every answer that is owed.
  template <class Visit>
  void visit_owed(const Visit& visit) const {
    for (const Debt& debt : ledger_.debts()) {
      visit(debt.worker, debt.asked.sent_at + kWaitingAfter);
    }
  }
  // Units that a worker said it lost, for Membership.
  std::vector<std::pair<PeerKey, std::vector<UnitId>>> take_lost_units();
  // Workers that answered wrongly, for Membership: their units must not be held any more.
  std::vector<Liar> take_liars() { return std::exchange(liars_, {}); }
  // Grows when a worker is found to have answered wrongly. What it said before, unchecked, may be
  // in the steps under way: those during which this has changed have to be repeated.
  uint64_t distrusts() const { return distrusts_; }
  void step_repeated() { ++log_.counts().steps_repeated; }
  const TrustBook& trust() const { return trust_; }
  BreakerState breaker(const PeerKey& worker) const;
  // Whether a worker had to read an expert from its disk lately.
  bool disks_in_use() const { return log_.disks_in_use(); }
  // Earliest deadline, or nothing outstanding.
  std::optional<TimePoint> next_deadline() const { return ledger_.next_deadline(); }
  // When on_tick() has something to do.
  std::optional<TimePoint> next_due() const;
  // Calls that wait for a worker that has their units.
  uint64_t stranded_calls() const { return tickets_.stranded_calls(); }
  bool has_tickets() const { return !tickets_.empty(); }

  const DispatchStatistics& statistics() const { return log_.counts(); }
  // For a trace: dispatch_log.h.
  void keep_answers(bool keep) { log_.keep_answers(keep); }
  std::vector<WorkerAnswer> take_answers() { return log_.take_answers(); }
  std::vector<LogEvent> take_notices() { return log_.take_notices(); }

 private:
  using Prefetch = std::vector<PrefetchUnit>;
  // What every message says, and what it is compared with.
  struct Terms {
    uint64_t epoch;
    uint32_t slices;
    const Manifest& manifest;
  };
  // Of calls that came to an end, for the next ones. What it holds says nothing.
  struct Memory {
    CallLists lists;
    Distribution distribution;
    Prefetch prefetch;
    ReplyAdder adder;
  };

  const ManifestLayer& layer_of(const ExpertBatch& batch) const;
  HolderView holders(std::span<const PeerKey> except) const;
  Prefetch prefetch_holders(const ExpertBatch& batch, Prefetch memory);
  void distribute(uint64_t ticket, uint32_t attempt, const RowCalls& calls,
                  std::span<const PeerKey> except, const Prefetch& prefetch);
  void strand(Ticket& ticket, std::span<const RowCall> calls);
  void offer_stranded(TimePoint now);
  void ask(Distribution::Share& share, uint64_t ticket, uint32_t attempt, const Prefetch& prefetch);
  void settle(const PeerKey& worker, const Prefetch& prefetch);
  bool send_next(const PeerKey& worker, const Prefetch& prefetch);
  void give_waiting_away(const PeerKey& worker);
  void give_away(size_t debt);
  void give_up_overdue(TimePoint now);
  void end(Debt debt);
  void forget_workers();

  void on_answer(size_t debt, const Partial& partial, ByteSpan tensor);
  Status accept(const Debt& debt, const Partial& partial, ByteSpan tensor);
  void take_answer(size_t debt, const Partial& partial, ByteSpan tensor);
  void learn(const Debt& debt, const Partial& partial, uint64_t tensor_bytes, TimePoint now);

  // dispatcher_races.cpp: several are asked for the same.
  void ask_again_for_late(TimePoint now);
  void hedge(size_t debt, TimePoint now);
  void redispatch(size_t debt, TimePoint now);
  Distribution choose_others(uint32_t layer, const RowCalls& calls,
                             std::span<const PeerKey> except);
  uint64_t open_race(size_t debt, bool checked);
  void ask_side(uint64_t race, Distribution& chosen, bool whole);
  void take_claim(const Debt& debt, const Partial& partial, ByteSpan tensor);
  void side_complete(uint64_t race, uint32_t side);
  void answer_with(uint64_t race, size_t side);
  void fail_side(uint64_t race, uint32_t side);
  void redistribute(uint64_t race, std::span<const PeerKey> except);
  void close_if_over(uint64_t race);
  void forget_races(uint64_t ticket);

  // dispatcher_checks.cpp: answers are compared.
  void ask_for_comparisons();
  void compare(size_t debt);
  void shorten_comparison(uint64_t race, Duration took);
  bool own_check_is_due(const PeerKey& worker) const;
  RowCalls some_rows(const RowCalls& calls, uint32_t rows);
  void found_alike(const Side& a, const Side& b);
  void end_waiting_for_comparison(uint64_t race);
  void begin_check(uint64_t race, std::vector<uint32_t> rows);
  std::optional<LocalWork> take_check_work();
  void judge(uint64_t race);
  void accuse(const PeerKey& worker, uint32_t layer);

  Terms terms_;
  bool last_resort_;
  std::optional<TimePoint> offer_at_;  // while calls are stranded
  const ClusterState& cluster_;
  const Clock& clock_;
  DispatchLog log_;
  TicketBook tickets_;
  CallQueues queues_;
  DebtLedger ledger_;
  RaceBook races_;
  HedgeBudget hedge_budget_;
  TrustBook trust_;
  std::vector<uint64_t> to_compare_;  // requests that were just sent
  TimePoint check_began_{0};
  TimePoint next_own_check_{0};
  std::vector<Liar> liars_;
  uint64_t distrusts_ = 0;
  std::vector<OutgoingMessage> outgoing_;
  std::vector<std::pair<PeerKey, std::vector<UnitId>>> lost_units_;
  Memory memory_;
  PoolLearning* learned_ = nullptr;
};

}  // namespace potluck
