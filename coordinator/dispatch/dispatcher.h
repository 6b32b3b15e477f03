// Dispatcher: spreads one batch of expert work over the workers that hold the units, collects the
// partial sums, and sees to it that every unit is computed exactly once into the answer, no matter
// which workers die meanwhile. A state machine: batch, reply or tick in, messages and local work
// out. One thread.
//
//   submit -> one Compute per worker concerned, or several of about a second's work each, sent as
//             the worker answers; units that no worker holds -> local work
//   reply  -> checked against the outstanding debt, then added (integers: order does not matter)
//   late   -> the debt, and what the worker was not asked yet, is given to other holders, or
//             becomes local work; a reply that comes after that finds no debt, is counted, dropped
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
#include "coordinator/dispatch/holder_choice.h"
#include "coordinator/dispatch/reply_adder.h"
#include "coordinator/dispatch/ticket_book.h"
#include "coordinator/plan/pool_learning.h"
#include "engine/base/clock.h"

namespace potluck {

// A worker that has owed an answer for this long is worth a probe.
inline constexpr Duration kWaitingAfter = std::chrono::milliseconds(30);

// Work of a batch that the coordinator must do itself.
struct LocalWork {
  uint64_t ticket = 0;
  const ExpertBatch* batch = nullptr;
  ExpertSums* out = nullptr;
  std::vector<ExpertCall> calls;
};

class Dispatcher {
 public:
  // References must outlive the object.
  Dispatcher(uint64_t epoch, uint32_t slices, const Manifest& manifest, const ClusterState& cluster,
             const Clock& clock);

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

  bool done(uint64_t ticket) const { return tickets_.at(ticket).done(); }
  void forget(uint64_t ticket);  // ends a done (or abandoned) ticket

  std::vector<OutgoingMessage> take_outgoing();
  // The caller computes it into `out` and then calls local_done(). A few experts at a time, so that
  // messages can be handled in between.
  std::optional<LocalWork> take_local_work();
  bool has_local_work() const { return tickets_.has_local_work(); }
  void local_done(uint64_t ticket);
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
  // Whether a worker had to read an expert from its disk lately.
  bool disks_in_use() const { return log_.disks_in_use(); }
  // Earliest deadline, or nothing outstanding.
  std::optional<TimePoint> next_deadline() const { return ledger_.next_deadline(); }

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
  HolderView holders(const PeerKey* except) const;
  Prefetch prefetch_holders(const ExpertBatch& batch, Prefetch memory);
  void distribute(uint64_t ticket, uint32_t attempt, const RowCalls& calls, const PeerKey* except,
                  const Prefetch& prefetch);
  void ask(Distribution::Share& share, uint64_t ticket, uint32_t attempt, const Prefetch& prefetch);
  void settle(const PeerKey& worker, const Prefetch& prefetch);
  bool send_next(const PeerKey& worker, const Prefetch& prefetch);
  void give_waiting_away(const PeerKey& worker);
  void give_away(size_t debt);
  void end(Debt debt);
  void forget_workers();

  void on_answer(size_t debt, const Partial& partial, ByteSpan tensor);
  Status accept(const Debt& debt, const Partial& partial, ByteSpan tensor);
  void take_answer(size_t debt, const Partial& partial, uint64_t tensor_bytes);
  void learn(const Debt& debt, const Partial& partial, uint64_t tensor_bytes, TimePoint now);

  Terms terms_;
  const ClusterState& cluster_;
  const Clock& clock_;
  DispatchLog log_;
  TicketBook tickets_;
  CallQueues queues_;
  DebtLedger ledger_;
  std::vector<OutgoingMessage> outgoing_;
  std::vector<std::pair<PeerKey, std::vector<UnitId>>> lost_units_;
  Memory memory_;
  PoolLearning* learned_ = nullptr;
};

}  // namespace potluck
