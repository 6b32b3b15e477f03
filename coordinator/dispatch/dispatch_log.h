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
  uint64_t hedges = 0;             // messages sent because another answer was later than usual
  uint64_t hedges_won = 0;         // pieces of work whose answer came from these
  uint64_t comparisons = 0;        // messages sent so that two answers can be compared
  uint64_t answers_alike = 0;      // pairs of answers that were compared and were the same
  uint64_t own_checks = 0;         // answers compared with a computation of the coordinator's own
  uint64_t own_check_calls = 0;    // (row, unit) computed for that
  uint64_t wrong_answers = 0;      // found by either
  uint64_t steps_repeated = 0;     // because of a wrong answer
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
        Counter{"hedges", &Set::hedges}, Counter{"hedges_won", &Set::hedges_won},
        Counter{"comparisons", &Set::comparisons}, Counter{"answers_alike", &Set::answers_alike},
        Counter{"own_checks", &Set::own_checks}, Counter{"own_check_calls", &Set::own_check_calls},
        Counter{"wrong_answers", &Set::wrong_answers},
        Counter{"steps_repeated", &Set::steps_repeated},
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

  // A worker answered well; what it says of its work.
  void worked(const WorkCounters& timings);
  // Keeps every accepted answer until it is taken; at first off.
  void keep_answers(bool keep) { keeps_answers_ = keep; }
  void keep(const Debt& debt, const WorkCounters& timings, TimePoint now);
  std::vector<WorkerAnswer> take_answers() { return std::exchange(answers_, {}); }
  void refused_answer(const PeerKey& worker, const Error& why);
  void was_not_asked(const PeerKey& from, const WorkId& work);
  void missed_deadline(const PeerKey& worker, Duration waited);
  void asked_others(const PeerKey& worker, Duration waited);
  void found_wrong(const PeerKey& worker, uint32_t layer);

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
