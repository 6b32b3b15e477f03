// Dispatcher: spreads one batch of expert work over the workers that hold the units, collects the
// partial sums, and sees to it that every unit is computed exactly once into the answer, whoever
// dies meanwhile. A state machine: batch, reply or tick in, messages and local work out. One
// thread.
//
//   submit -> one Compute per worker concerned, or several of about a second's work each, sent as
//             the worker answers; units that nobody holds -> local work
//   reply  -> checked against the outstanding piece, then added (integers: order does not matter)
//   late   -> the piece, and what the worker was not asked yet, is given to other holders, or
//             becomes local work; a reply that comes after that finds no piece, is counted, dropped
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/cluster/membership.h"
#include "coordinator/cluster/notices.h"
#include "coordinator/dispatch/worker_track.h"
#include "engine/base/clock.h"
#include "engine/base/counters.h"
#include "engine/experts/executor.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/manifest.h"
#include "protocol/message.h"

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

struct DispatchStatistics {
  uint64_t batches = 0;            // that needed a worker: round trips of layers
  uint64_t messages = 0;           // Compute messages sent
  uint64_t remote_unit_calls = 0;  // (row, unit) computed by workers and accepted
  uint64_t local_unit_calls = 0;   // left to the coordinator as the last resort
  uint64_t retries = 0;            // pieces given to other workers
  uint64_t late_replies = 0;       // came after that; dropped
  uint64_t bad_replies = 0;        // wrong sender, name, shape, checksum or status
  uint64_t slowest_compute = 0;    // nanoseconds: per batch the slowest worker's, summed
  uint64_t gather = 0;             // nanoseconds spent checking and adding replies
  WorkCounters work;               // of the workers, summed over accepted replies

  static constexpr auto counters() {
    using Set = DispatchStatistics;
    return std::tuple(
        Counter{"round_trips", &Set::batches}, Counter{"messages", &Set::messages},
        Counter{"remote_expert_calls", &Set::remote_unit_calls},
        Counter{"local_expert_calls", &Set::local_unit_calls}, Counter{"retries", &Set::retries},
        Counter{"late_replies", &Set::late_replies}, Counter{"bad_replies", &Set::bad_replies},
        Counter{"slowest_compute_ns", &Set::slowest_compute}, Counter{"gather_ns", &Set::gather},
        CounterGroup{&Set::work});
  }
};

class Dispatcher {
 public:
  // References must outlive the object.
  Dispatcher(uint64_t epoch, uint32_t slices, const Manifest& manifest, const ClusterState& cluster,
             const Clock& clock);

  // Returns the ticket. batch and out stay in place until the ticket is done.
  uint64_t submit(const ExpertBatch& batch, ExpertSums* out);
  void on_partial(const PeerKey& from, const Partial& partial, ByteSpan tensor);
  // Any message came from this worker. If it was overdue, it is given work again after its rest.
  void heard_from(const PeerKey& worker);
  // The worker will not answer what it was asked: it is gone, or it has started anew. What was
  // learned about it stays, a rest that it has earned, too.
  void on_worker_lost(const PeerKey& worker);
  // Hand in the replies that have arrived before calling this: deadlines are judged here.
  void on_tick();

  bool done(uint64_t ticket) const;
  void forget(uint64_t ticket);  // ends a done (or abandoned) ticket

  std::vector<Outgoing> take_outgoing();
  // The caller computes it into `out` and then calls local_done(). A few experts at a time, so that
  // messages can be handled in between.
  std::optional<LocalWork> take_local_work();
  void local_done(uint64_t ticket);
  // Workers that have owed an answer for a while: worth a probe, to learn early that one is gone.
  std::vector<PeerKey> waiting_for() const;
  // visit(worker, when it will have owed an answer for a while), for every answer that is owed.
  template <class Visit>
  void visit_owed(const Visit& visit) const {
    for (const Piece& piece : pieces_) visit(piece.worker, piece.asked.sent_at + kWaitingAfter);
  }
  // Units that a worker said it lost, for Membership.
  std::vector<std::pair<PeerKey, std::vector<UnitId>>> take_lost_units();
  // Whether a worker had to read an expert from its disk lately.
  bool disks_in_use() const;
  // Earliest deadline, or nothing outstanding.
  std::optional<TimePoint> next_deadline() const;

  const DispatchStatistics& statistics() const { return statistics_; }
  std::vector<std::string> take_notices() { return notices_.take(); }

 private:
  // One unit applied to one row of the batch.
  struct Call {
    uint32_t row = 0;
    uint16_t expert = 0;
    uint16_t slice = 0;
    float weight = 0;
  };
  using Calls = std::vector<Call>;  // grouped by row

  // What one worker was asked.
  struct Piece {
    WorkId work;
    PeerKey worker;
    uint64_t ticket = 0;
    AskedMessage asked;
    TimePoint deadline{0};
    uint32_t rows = 0;
    Calls calls;
  };
  // What a worker will be asked once it owes less: those of the calls from `begin` on.
  struct Waiting {
    uint64_t ticket = 0;
    uint32_t attempt = 0;
    Calls calls;
    size_t begin = 0;
    uint32_t rows = 0;  // of them
  };
  // One worker: what it was asked is in pieces_. While something waits, it owes an answer, so that
  // a deadline stands behind everything.
  struct Lane {
    WorkerTrack track;
    std::deque<Waiting> waiting;
  };
  // One batch. `local` is sorted when it is taken from, not when it is added to.
  struct Ticket {
    const ExpertBatch* batch = nullptr;
    ExpertSums* out = nullptr;
    uint32_t pieces = 0;   // outstanding
    uint32_t waiting = 0;  // entries of lanes
    Calls local;
    bool local_sorted = false;
    uint32_t local_running = 0;
    uint64_t slowest_compute = 0;  // of the accepted answers, nanoseconds
  };
  // Calls of one distribution that go to the same worker.
  struct Group {
    PeerKey worker;
    bool usable = false;
    uint64_t load = 0;
    Calls calls;
  };
  // A piece that was given away: tells how slow the worker is, should it answer after all.
  struct Abandoned {
    uint64_t request = 0;
    PeerKey worker;
    AskedMessage asked;
  };

  const ManifestLayer& layer_of(const ExpertBatch& batch) const;
  void collect_calls(const ExpertBatch& batch);
  void forecast_units(const ExpertBatch& batch);
  void distribute(uint64_t ticket, uint32_t attempt, const Calls& calls, const PeerKey* except);
  void choose_holders(uint32_t layer, const Calls& calls, const PeerKey* except);
  int32_t choose_holder(UnitId unit, uint32_t calls, const PeerKey* except);
  size_t group_of(const PeerKey& worker);
  // What a worker is asked, and when: dispatcher_lanes.cpp.
  Lane& lane_of(const PeerKey& worker);
  void ask(Group& group, uint64_t ticket, uint32_t attempt);
  void settle_lane(const PeerKey& worker);
  bool send_next(const PeerKey& worker, Lane& lane);
  uint32_t rows_of_next(const Lane& lane, const Waiting& next) const;
  Calls cut(Waiting& next, uint32_t* rows);
  void give_waiting_away(const PeerKey& worker, Lane& lane);
  void send_piece(Piece piece, Lane& lane);
  void forget_lanes();

  std::optional<size_t> find_piece(uint64_t request) const;
  void late_reply(const PeerKey& from, uint64_t request);
  void on_answer(size_t index, const Partial& partial, ByteSpan tensor);
  Status timed_accept(const Piece& piece, const Partial& partial, ByteSpan tensor);
  void take_answer(size_t index, const Partial& partial);
  static bool names_unit_of(const Piece& piece, const std::vector<UnitId>& units);
  Status accept(const Piece& piece, const Partial& partial, ByteSpan tensor);
  int64_t largest_honest_sum(const Piece& piece) const;
  Status add_to_answer(const Piece& piece, const Partial& partial, ByteSpan tensor);
  Piece take_piece(size_t index);
  void give_away(size_t index);
  void recycle(Calls calls);
  Calls spare_calls();

  uint64_t epoch_;
  uint32_t slices_;
  const Manifest& manifest_;
  const ClusterState& cluster_;
  const Clock& clock_;
  DispatchStatistics statistics_;
  std::optional<uint64_t> last_disk_batch_;  // statistics_.batches when a worker last read its disk
  Notices notices_;

  std::map<uint64_t, Ticket> tickets_;
  std::vector<Piece> pieces_;  // outstanding, in no order
  // By key, also of workers that have left: what was learned about them holds when they are back.
  std::map<PeerKey, Lane> lanes_;
  std::deque<Abandoned> abandoned_;
  std::vector<Outgoing> outgoing_;
  std::vector<std::pair<PeerKey, std::vector<UnitId>>> lost_units_;
  uint64_t next_ticket_ = 1;
  uint64_t next_request_ = 1;

  // Scratch, kept so that a batch allocates little.
  Calls calls_;  // of the batch being submitted
  // Units that the next layer is likely to need, and who would be asked for them now. Goes out with
  // this batch's messages.
  std::vector<std::pair<PeerKey, UnitId>> forecast_;
  std::vector<Group> groups_;  // the first groups_used_ are in use
  size_t groups_used_ = 0;
  std::vector<uint32_t> unit_calls_;  // [experts, slices]; zero between distributions
  std::vector<int32_t> unit_group_;   // [experts, slices]: index into groups_, or -1: local
  std::vector<uint32_t> touched_;     // units of this distribution, in order of appearance
  std::vector<int64_t> sums_;         // [rows, hidden]: an answer before it is added
  std::vector<Calls> spare_;
};

}  // namespace potluck
