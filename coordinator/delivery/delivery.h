// Delivery: answers requests on the bulk channel: parts of the signed manifest, and of grains cut
// from the model file. Only what the manifest names is ever cut, and only for members; not faster
// than the pacer allows, nor than the way to the peer takes it. One thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "coordinator/cluster/membership.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/grain_source.h"
#include "protocol/bulk_queue.h"
#include "protocol/serve_pacer.h"

namespace potluck {

class Delivery {
 public:
  // References must outlive the object. `serve_rate`: bytes per second. `grains`: where they are,
  // if not in the model file; what it does not have (kNotFound) others deliver.
  Delivery(const SignedManifest& signed_manifest, const Manifest& manifest,
           const GrainCutter& cutter, const Clock& clock, uint64_t serve_rate = kDefaultServeRate,
           GrainSource* grains = nullptr);
  ~Delivery();

  // FetchManifest and FetchGrain; false for anything else. `is_member`: whether the peer may ask.
  bool on_message(const PeerKey& from, const Message& message, bool is_member);
  // At most `limit` parts to send now: bulk work is done in small pieces between compute messages.
  std::vector<OutgoingMessage> take_outgoing(size_t limit);
  // This message on the bulk channel could not be sent: the peer is gone, or takes no more for the
  // moment. To be called before the next take_outgoing(). A refusal, which is not a part, is left
  // out: a peer that missed it asks again.
  void not_sent(const OutgoingMessage& message, bool gone);
  // When there is something to send again; nothing while no request is waiting.
  std::optional<TimePoint> next_part() const;
  bool idle() const { return queue_.empty(); }
  // The manifest has another content than before.
  void manifest_grew() { manifest_digest_ = sha256(signed_manifest_.body); }
  void forget(const PeerKey& peer) { queue_.forget(peer); }  // drops what it still wants
  // Work was sent to a worker: it goes first for a while.
  void work_seen() { pacer_.work_seen(clock_.now()); }

  uint64_t bytes_delivered() const { return bytes_delivered_; }
  std::vector<LogEvent> take_notices() { return notices_.take(); }

 private:
  class GrainCache;

  // The bytes that a request is about; empty when there is nothing of that name.
  ByteSpan content(const BulkRequest& request);
  ByteSpan grain_content(const FetchGrain& fetch);
  void tell_delivered(const BulkRequest& request, uint64_t bytes);

  const SignedManifest& signed_manifest_;
  Digest manifest_digest_;
  const Manifest& manifest_;
  const Clock& clock_;
  BulkQueue queue_;
  ServePacer pacer_;
  std::unique_ptr<GrainCache> cache_;
  std::vector<BulkRequest> taken_;        // answered by the last take_outgoing()
  std::optional<PeerKey> last_stranger_;  // people were told of it
  uint64_t bytes_delivered_ = 0;
  Notices notices_{"delivery"};
};

}  // namespace potluck
