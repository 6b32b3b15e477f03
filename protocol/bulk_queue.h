// BulkQueue: what peers asked for on a bulk channel and have not been sent yet, answered in order
// and in parts. Bounded: what exceeds it is dropped, and the peer asks again when nothing comes.
// Knows nothing of where the bytes come from. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "protocol/keys.h"
#include "protocol/message.h"

namespace potluck {

struct BulkRequest {
  PeerKey peer;
  Digest digest;                    // what was asked for
  std::optional<FetchGrain> grain;  // else a manifest
  uint64_t offset = 0;              // of the next part
};

struct BulkPart {
  PeerKey peer;
  BulkData data;
  ByteVector bytes;
  bool manifest = false;
};

class BulkQueue {
 public:
  // Takes FetchManifest and FetchGrain. False when the queue is full: the request was dropped. What
  // waits already is not put there twice.
  bool add(const PeerKey& peer, const FetchManifest& fetch);
  bool add(const PeerKey& peer, const FetchGrain& fetch);
  void forget(const PeerKey& peer);  // drops what it still wants
  bool empty() const { return requests_.empty(); }

  // The next part. `content` gives the bytes a request is about, empty when there is nothing of
  // that name. The queue must not be empty.
  BulkPart next(const std::function<ByteSpan(const BulkRequest&)>& content);

 private:
  bool add(BulkRequest request);

  std::deque<BulkRequest> requests_;
  std::map<PeerKey, size_t> queued_;  // requests per peer
};

}  // namespace potluck
