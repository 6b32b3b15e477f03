// Answering: the requests of one pool: they wait in a queue, are compared with the manifest and
// with what is ready, computed in blocks, and answered in order. The cache of the pool's experts is
// here. Whose turn it is, is decided by the owner of the sessions. Owned by PoolSession. One
// thread.
//
//   on_compute() -> waiting --begin()--> begun --compute(), as often as it takes--> done --answer()
//                                          +----- refused: nothing is computed -----^
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "worker/coordinator_link.h"
#include "worker/unit_compute.h"
#include "worker/unit_delivery.h"

namespace potluck {

class Answering {
 public:
  // Requests that wait for their turn, beside the one that is being computed: more than any
  // coordinator of this version sends ahead, and a bound on what one can make us keep.
  static constexpr size_t kRequestsWaiting = 32;
  static constexpr uint64_t kBytesWaiting = 16 * kMiB;

  // All references must outlive the object.
  Answering(UnitCompute& compute, GrainStore& store, const WorkerOptions& options,
            CoordinatorLink& link)
      : compute_(compute), store_(store), options_(options), link_(link) {}

  void on_compute(Compute request, ByteVector frame);
  // Something is being computed, or waits to be, or is to be answered.
  bool has_work() const { return job_state_ != JobState::kNone || !waiting_.empty(); }
  // The request that can be begun; none while another is being computed.
  const Compute* next() const;
  // Begins it. `current`: it is of this epoch. Without a manifest, or without units that are
  // ready, it is refused.
  void begin(bool current, const Manifest* manifest, const UnitTable& units);
  bool computing() const { return job_state_ == JobState::kBegun; }
  // Computes a part of what was begun, about as much as the budget. Returns what it took.
  Duration compute(Duration budget, const Manifest& manifest, UnitDelivery& delivery);
  // It was computed to the end, or refused: to be answered, once its time has passed.
  bool done() const { return job_state_ == JobState::kDone; }
  void answer();
  // Another manifest, or a coordinator that forgot what it asked for.
  void drop_work();

  // This pool's share of the memory for grains. A new share empties the cache.
  void set_cache(uint64_t bytes);
  // Of the share, no more than that is used from now on; what is beyond goes back to the system.
  void set_cache_limit(uint64_t bytes);
  // The cache names the manifest's grains: it goes before the manifest does.
  void drop_cache() { source_.reset(); }
  uint64_t resident_bytes() const;
  TimePoint asked_at() const { return asked_at_; }  // when work last came
  // Its part of the status.
  void describe(MembershipStatus* status) const;

 private:
  struct Request {
    Compute request;
    ByteVector frame;
  };
  enum class JobState { kNone, kBegun, kDone };

  bool queue_is_full(uint64_t bytes) const;
  void refuse_job(Partial refused);
  void send(const WorkId& work, Partial partial, ByteVector sums);
  StoredSource& source(const Manifest& manifest);
  // A hint from outside: what does not exist here, or is not held, is left out.
  void prefetch(std::span<const UnitId> units, const Manifest& manifest, const UnitTable& held);
  Partial after_failure(const UnitCompute::Failure& failure, const Manifest& manifest,
                        UnitDelivery& delivery);

  UnitCompute& compute_;
  GrainStore& store_;
  const WorkerOptions& options_;
  CoordinatorLink& link_;
  std::deque<Request> waiting_;
  uint64_t waiting_bytes_ = 0;  // of the frames
  UnitJob job_;                 // its memory serves one request after the other
  JobState job_state_ = JobState::kNone;
  TimePoint asked_at_ = TimePoint::min();
  uint64_t cache_bytes_ = 0;
  uint64_t cache_limit_ = UINT64_MAX;
  std::unique_ptr<StoredSource> source_;  // made at the first use
  std::vector<GrainId> prefetch_;
  uint64_t rows_computed_ = 0;
  uint64_t units_computed_ = 0;
  uint64_t answered_ = 0;
  uint64_t refused_ = 0;
  WorkCounters work_;  // of the requests that were answered
};

}  // namespace potluck
