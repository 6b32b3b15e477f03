// RequestTrace: where the time of every layer goes, written to a TraceFile. It stands in front of
// the executor that `forward` is given and watches the beginning of each step; without it, neither
// costs anything. One thread.
//
// Per layer and step, at the coordinator (process 1): "layer" encloses "attention" (all that the
// coordinator computes before it knows the experts), "dispatch" (messages built and sent), "shared"
// (what it computes meanwhile) and "wait" (until the last answer). At each worker (processes 2 and
// on) "read" and "compute" as its replies report them: they have no clock in common with ours, so a
// read is drawn from when the worker was asked, computing up to when its answer was taken.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/runtime/pool.h"
#include "coordinator/runtime/trace_file.h"
#include "engine/experts/executor.h"
#include "engine/model/layer_observer.h"

namespace potluck {

class RequestTrace final : public ExpertExecutor, public LayerObserver {
 public:
  // `inner`, `pool` (or null) and `clock` must outlive the object.
  RequestTrace(ExpertExecutor& inner, Pool* pool, const Clock& clock,
               std::unique_ptr<TraceFile> file);
  ~RequestTrace() override;

  bool uses_disks() const override { return inner_.uses_disks(); }
  ReadAhead read_ahead() const override { return inner_.read_ahead(); }
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override;
  std::optional<Status> take_completed(Ticket ticket) override;
  void turn(Duration longest) override;
  void cancel(Ticket ticket) override { inner_.cancel(ticket); }
  uint64_t distrusts() const override { return inner_.distrusts(); }
  void step_repeated() override { inner_.step_repeated(); }
  void on_residual(uint32_t layer, ResidualPoint point, uint32_t position,
                   std::span<const float> residual) override;

  Status finish() { return file_->finish(); }

 private:
  // A worker, and until when its threads are drawn: spans of one thread must not overlap.
  struct Track {
    uint32_t process = 0;
    TimePoint read_until{0};
    TimePoint computed_until{0};
  };

  void add_answers();
  Track& track_of(const PeerKey& worker);

  ExpertExecutor& inner_;
  Pool* pool_;
  const Clock& clock_;
  std::unique_ptr<TraceFile> file_;
  std::map<PeerKey, Track> tracks_;
  std::vector<WorkerAnswer> taken_;
  TimePoint layer_start_;
  TimePoint submitted_{0};
  std::optional<TimePoint> waiting_since_;  // since when nothing else is left to do
  uint32_t layer_ = 0;
  uint32_t rows_ = 0;
};

}  // namespace potluck
