// RemoteExecutor: the ExpertExecutor of a pool. It hands batches to the core of a CoordinatorLoop
// and takes turns of that loop; the last resort is a GrainSource over the model file. One thread;
// it takes the loop's lock itself, and never holds it while it computes.
#pragma once

#include <unordered_map>

#include "coordinator/dispatch/coordinator_loop.h"
#include "engine/base/counters.h"
#include "engine/experts/expert_compute.h"

namespace potluck {

// Where the time of a layer goes, summed; nanoseconds. For `potluck bench`.
struct LayerTimes {
  uint64_t dispatch = 0;  // building and queueing messages
  uint64_t wait = 0;      // in turns, with nothing else to do until an answer comes
  uint64_t local = 0;     // computing as the last resort (part of wait)
  uint64_t batches = 0;

  static constexpr auto counters() {
    using Set = LayerTimes;
    return std::tuple(Counter{"layer_dispatch_ns", &Set::dispatch},
                      Counter{"layer_wait_ns", &Set::wait}, Counter{"layer_local_ns", &Set::local},
                      Counter{"layer_batches", &Set::batches});
  }
};

class RemoteExecutor final : public ExpertExecutor {
 public:
  // All must outlive the executor.
  RemoteExecutor(CoordinatorLoop& loop, const GrainCutter& cutter, GrainSource& last_resort,
                 ExpertCompute& compute, const Clock& clock, bool prefetch = true);

  bool uses_disks() const override;
  ReadAhead read_ahead() const override;
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override;
  // A batch fails only if the last resort does: the model file cannot be read.
  std::optional<Status> take_completed(Ticket ticket) override;
  // A few experts of local work if there is any, else a turn of the loop.
  void turn(Duration longest) override;
  void cancel(Ticket ticket) override;
  uint64_t distrusts() const override;
  void step_repeated() override;

  const LayerTimes& times() const { return times_; }

 private:
  void end_local_work(const LocalWork& work, const Status& computed);
  void run_local_work(const LocalWork& work, std::unique_lock<std::mutex>& lock);
  Status compute(const LocalWork& work);
  void add_local_sums(const LocalWork& work);

  CoordinatorLoop& loop_;
  const GrainCutter& cutter_;
  GrainSource& last_resort_;
  ExpertCompute& compute_;
  const Clock& clock_;
  bool prefetch_;  // tell workers what the next layer is likely to need
  // What was computed here, before it is added to the answer: the core may add a worker's part to
  // that at any time. [rows, hidden], zero between pieces of work.
  ExpertSums local_sums_;
  std::unordered_map<Ticket, Error> failures_;  // of open tickets; the core has forgotten them
  LayerTimes times_;
};

}  // namespace potluck
