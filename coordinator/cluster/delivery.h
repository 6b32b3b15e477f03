// Delivery: answers requests on the bulk channel: the signed manifest, and grains cut from the
// model file. Only what the manifest names is ever cut, and only for members. One thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/cluster/membership.h"
#include "engine/experts/grain_cutter.h"

namespace potluck {

class Delivery {
 public:
  // References must outlive the object.
  Delivery(const SignedManifest& signed_manifest, const Manifest& manifest,
           const GrainCutter& cutter);
  ~Delivery();

  // FetchManifest and FetchGrain; false for anything else. `is_member`: whether the peer may ask.
  // What exceeds a queue's bound is dropped: the peer asks again when nothing comes.
  bool on_message(const PeerKey& from, const Message& message, bool is_member);
  // At most `limit` parts to send now: bulk work is done in small pieces between compute messages.
  std::vector<Outgoing> take_outgoing(size_t limit);
  bool idle() const { return requests_.empty(); }
  void forget(const PeerKey& peer);  // drops what it still wants

  uint64_t bytes_delivered() const { return bytes_delivered_; }
  std::vector<std::string> take_notices() { return notices_.take(); }

 private:
  struct Request {
    PeerKey peer;
    std::optional<FetchGrain> grain;  // else the manifest
    Digest digest;                    // what was asked for
    uint64_t offset = 0;              // next part
  };
  class ExpertCache;

  void enqueue(Request request);
  // The bytes that a request is about; empty when there is nothing of that name.
  ByteSpan content(const Request& request);
  ByteSpan grain_content(const FetchGrain& fetch);

  const SignedManifest& signed_manifest_;
  Digest manifest_digest_;
  const Manifest& manifest_;
  const GrainCutter& cutter_;
  std::deque<Request> requests_;
  std::map<PeerKey, size_t> queued_;  // requests per peer
  std::unique_ptr<ExpertCache> cache_;
  uint64_t bytes_delivered_ = 0;
  Notices notices_;
};

}  // namespace potluck
