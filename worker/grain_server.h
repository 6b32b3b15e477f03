// GrainServer: what this worker gives to the other workers of its pools: grains from its store, in
// parts, not faster than the pacer allows. Who may ask for what is the caller's to decide. Every
// grain is verified when it is read, so a bad disk never becomes a bad answer. One thread.
#pragma once

#include <optional>
#include <set>
#include <utility>

#include "engine/experts/grain_store.h"
#include "protocol/bulk_queue.h"
#include "protocol/serve_pacer.h"

namespace potluck {

class GrainServer {
 public:
  // `store` must outlive the object.
  GrainServer(GrainStore& store, uint64_t bytes_per_second)
      : store_(store), pacer_(bytes_per_second) {}

  // `grain_bytes`: the length that a manifest gives; 0, or another one than the store's, answers
  // that there is no such grain. What exceeds the queue is dropped: the peer asks another worker
  // when nothing comes.
  void on_fetch(const PeerKey& peer, const FetchGrain& fetch, uint64_t grain_bytes);
  void forget(const PeerKey& peer);
  // Work has come: it goes first for a while.
  void work_seen(TimePoint now) { pacer_.work_seen(now); }

  // One part to send now, or nothing.
  std::optional<BulkPart> next(TimePoint now);
  std::optional<TimePoint> next_tick(TimePoint now) const;
  uint64_t bytes_served() const { return bytes_served_; }

 private:
  ByteSpan content(const BulkRequest& request);

  GrainStore& store_;
  BulkQueue queue_;
  ServePacer pacer_;
  std::set<std::pair<PeerKey, Digest>> granted_;  // of the queue: those that may be sent
  Digest loaded_;                                 // what grain_ holds
  ByteVector grain_;                              // the one that is being sent
  uint64_t bytes_served_ = 0;
};

}  // namespace potluck
