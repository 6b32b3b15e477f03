// GrainServer: what this worker gives to the other workers of its pools: grains from its store, in
// the parts that they ask for, not faster than the pacer allows. Who may ask for what is the
// caller's to decide. Every grain is verified when it is read, so a bad disk never becomes a bad
// answer. One thread.
#pragma once

#include <list>
#include <optional>

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
  // that there is no such grain.
  void on_fetch(const PeerKey& peer, const FetchGrain& fetch, uint64_t grain_bytes) {
    queue_.add(peer, fetch, grain_bytes);
  }
  void forget(const PeerKey& peer) { queue_.forget(peer); }
  // The last part could not be sent: its peer is gone, or takes no more for the moment.
  void not_sent(bool gone, TimePoint now);
  // Work has come: it goes first for a while.
  void work_seen(TimePoint now) { pacer_.work_seen(now); }

  // One part to send now, or nothing.
  std::optional<BulkPart> next(TimePoint now);
  std::optional<TimePoint> next_tick(TimePoint now) const;
  uint64_t bytes_served() const { return bytes_served_; }

 private:
  // Grains that are being sent to several peers at the same time; at least one. They are kept a
  // while after the last part was sent.
  static constexpr uint64_t kLoadedBytes = 16 * kMiB;
  static constexpr Duration kLoadedFor = std::chrono::seconds(2);
  struct Loaded {
    Digest digest;
    ByteVector bytes;
  };

  ByteSpan content(const BulkRequest& request);
  void drop_loaded(TimePoint now);

  GrainStore& store_;
  BulkQueue queue_;
  ServePacer pacer_;
  std::list<Loaded> loaded_;  // most recently used first
  uint64_t loaded_bytes_ = 0;
  TimePoint used_at_{0};
  std::optional<BulkRequest> last_;  // what the last part answered
  uint64_t last_bytes_ = 0;
  uint64_t bytes_served_ = 0;
};

}  // namespace potluck
