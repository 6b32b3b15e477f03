// Delivery: answers requests on the bulk channel: the signed manifest, and grains cut from the
// model file. Only what the manifest names is ever cut, and only for members. One thread.
#pragma once

#include <deque>
#include <vector>

#include "coordinator/cluster/membership.h"
#include "engine/experts/grain_cutter.h"

namespace potluck {

class Delivery {
 public:
  // References must outlive the object.
  Delivery(const SignedManifest& signed_manifest, const Manifest& manifest,
           const GrainCutter& cutter);

  // FetchManifest and FetchGrain; false for anything else. `is_member`: whether the peer may ask.
  bool on_message(const PeerKey& from, const Message& message, bool is_member);
  // At most `limit` parts to send now: bulk work is done in small pieces between compute messages.
  std::vector<Outgoing> take_outgoing(size_t limit);
  bool idle() const { return requests_.empty(); }
  void forget(const PeerKey& peer);  // drops what it still wants

  uint64_t bytes_delivered() const { return bytes_delivered_; }
  std::vector<std::string> take_notices();

 private:
  struct Request {
    PeerKey peer;
    Message message;
    uint64_t offset = 0;  // next part
  };

  const SignedManifest& signed_manifest_;
  Digest manifest_digest_;
  const Manifest& manifest_;
  const GrainCutter& cutter_;
  std::deque<Request> requests_;
  ByteVector grain_;  // the grain being sent
  GrainId grain_id_;
  bool grain_valid_ = false;
  uint64_t bytes_delivered_ = 0;
  std::vector<std::string> notices_;
};

}  // namespace potluck
