// Dispatcher: spreads one batch of expert work over the workers that hold the units, collects the
// partial sums, and sees to it that every unit is computed exactly once into the answer, whoever
// dies meanwhile. A state machine: batch, reply or tick in, messages and local work out. One
// thread.
//
//   submit -> one Compute per worker concerned; units that nobody holds -> local work
//   reply  -> checked against the outstanding entry, then added (integers: order does not matter)
//   late   -> the entry is given to another holder, or becomes local work; a reply that comes after
//             that finds no entry, is counted and dropped
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/cluster/membership.h"
#include "engine/base/clock.h"
#include "engine/experts/executor.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/manifest.h"
#include "protocol/liveness.h"

namespace potluck {

// Work of a batch that the coordinator must do itself.
struct LocalWork {
  uint64_t ticket = 0;
  const ExpertBatch* batch = nullptr;
  ExpertSums* out = nullptr;
  std::vector<ExpertCall> calls;
};

struct DispatchStatistics {
  uint64_t batches = 0;            // = round trips of layers
  uint64_t messages = 0;           // Compute messages sent
  uint64_t remote_unit_calls = 0;  // (row, unit) computed by workers and accepted
  uint64_t local_unit_calls = 0;   // computed by the coordinator as the last resort
  uint64_t retries = 0;            // pieces given to somebody else
  uint64_t late_replies = 0;       // came after that; dropped
  uint64_t bad_replies = 0;        // wrong shape, checksum or status
  WorkTimings worker_timings;      // summed over replies
};

class Dispatcher {
 public:
  // References must outlive the object.
  Dispatcher(uint64_t epoch, uint32_t slices, const Manifest& manifest, const ClusterState& cluster,
             const Clock& clock);

  // Returns the ticket. batch and out stay in place until the ticket is done.
  uint64_t submit(const ExpertBatch& batch, ExpertSums* out);
  void on_partial(const PeerKey& from, const Partial& partial, ByteSpan tensor);
  void on_worker_lost(const PeerKey& worker);
  void on_tick();

  bool done(uint64_t ticket) const;
  void forget(uint64_t ticket);  // ends a done (or abandoned) ticket

  std::vector<Outgoing> take_outgoing();
  // The caller computes it into `out` and then calls local_done().
  std::optional<LocalWork> take_local_work();
  void local_done(uint64_t ticket);
  // Workers that have owed an answer for a while: worth a probe, to learn early that one is gone.
  std::vector<PeerKey> waiting_for() const;
  // Units that a worker said it lost, for Membership.
  std::vector<std::pair<PeerKey, std::vector<UnitId>>> take_lost_units();
  // Earliest deadline, or nothing outstanding.
  std::optional<TimePoint> next_deadline() const;

  const DispatchStatistics& statistics() const { return statistics_; }
  std::vector<std::string> take_notices();

 private:
  struct Piece;   // what one worker was asked
  struct Ticket;  // one batch
  struct Peer;    // what we know about one worker's speed

  uint64_t epoch_;
  uint32_t slices_;
  const Manifest& manifest_;
  const ClusterState& cluster_;
  const Clock& clock_;
  DispatchStatistics statistics_;
  struct State;
  std::unique_ptr<State> state_;

 public:
  ~Dispatcher();
};

}  // namespace potluck
