// DispatchLog: what dispatch counts, and what it tells people. One thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/cluster/notices.h"
#include "coordinator/dispatch/debt_ledger.h"
#include "engine/base/counters.h"

namespace potluck {

struct DispatchStatistics {
  uint64_t batches = 0;            // that needed a worker: round trips of layers
  uint64_t messages = 0;           // Compute messages sent
  uint64_t remote_unit_calls = 0;  // (row, unit) computed by workers and accepted
  uint64_t local_unit_calls = 0;   // left to the coordinator as the last resort
  uint64_t retries = 0;            // messages, and calls that waited, given to others
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

// One accepted answer, for a trace.
struct WorkerAnswer {
  PeerKey worker;
  uint32_t layer = 0;
  uint32_t rows = 0;
  TimePoint asked_at{0};
  TimePoint taken_at{0};
  WorkCounters work;
};

class DispatchLog {
 public:
  // `cluster` must outlive the object: it knows the workers' names.
  explicit DispatchLog(const ClusterState& cluster) : cluster_(cluster) {}

  // Counted by the dispatcher itself where there is nothing to tell.
  DispatchStatistics& counts() { return counts_; }
  const DispatchStatistics& counts() const { return counts_; }

  void took_answer(const Debt& debt, const WorkCounters& timings);
  // Keeps every accepted answer until it is taken; at first off.
  void keep_answers(bool keep) { keeps_answers_ = keep; }
  void keep(const Debt& debt, const WorkCounters& timings, TimePoint now);
  std::vector<WorkerAnswer> take_answers() { return std::exchange(answers_, {}); }
  void refused_answer(const PeerKey& worker, const Error& why);
  void was_not_asked(const PeerKey& from, const WorkId& work);
  void missed_deadline(const PeerKey& worker, Duration waited);

  // Whether a worker had to read an expert from its disk lately.
  bool disks_in_use() const;
  std::vector<LogEvent> take_notices() { return notices_.take(); }

 private:
  const ClusterState& cluster_;
  DispatchStatistics counts_;
  std::optional<uint64_t> last_disk_batch_;  // counts_.batches when a worker last read its disk
  bool keeps_answers_ = false;
  std::vector<WorkerAnswer> answers_;
  Notices notices_{"dispatch"};
};

}  // namespace potluck
