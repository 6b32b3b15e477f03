// RemoteExecutor: the ExpertExecutor of a pool. Whatever moves frames between the core and the
// world (a ZeroMQ loop, the simulator) is handed in as a Pump; the last resort is a GrainSource
// over the model file. One thread.
#pragma once

#include "coordinator/dispatch/coordinator_core.h"
#include "engine/experts/expert_compute.h"

namespace potluck {

// Sends what the core has to send, then receives, waiting at most `timeout` for something to
// arrive, and returns once something did.
class Pump {
 public:
  virtual ~Pump() = default;
  virtual void pump(Duration timeout) = 0;
};

// Where the time of a layer goes, summed; nanoseconds. For `potluck bench`.
struct LayerTimes {
  uint64_t dispatch = 0;  // building and queueing messages
  uint64_t wait = 0;      // from then until the last answer
  uint64_t local = 0;     // computing as the last resort (part of wait)
  uint64_t batches = 0;
};

class RemoteExecutor final : public ExpertExecutor {
 public:
  // All must outlive the executor.
  RemoteExecutor(CoordinatorCore& core, Pump& pump, const GrainCutter& cutter,
                 GrainSource& last_resort, ExpertCompute& compute, const Clock& clock,
                 bool prefetch = true);

  bool wants_forecast() const override { return prefetch_ && core_.dispatcher().disks_in_use(); }
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override;
  bool done(Ticket ticket) override;
  // Fails only if the last resort does: the model file cannot be read.
  Status wait(Ticket ticket) override;

  const LayerTimes& times() const { return times_; }

 private:
  Status run_local_work();
  Status compute(const LocalWork& work);
  void pump_until_event();

  CoordinatorCore& core_;
  Pump& pump_;
  const GrainCutter& cutter_;
  GrainSource& last_resort_;
  ExpertCompute& compute_;
  const Clock& clock_;
  bool prefetch_;  // tell workers what the next layer is likely to need
  LayerTimes times_;
};

}  // namespace potluck
