// BulkQueue: the parts that peers asked for on a bulk channel and were not sent yet. Peers take
// turns, and each is answered in the order in which it asked. Bounded by what an honest receiver
// has under way: of more requests the newest count. Knows nothing of where the bytes come from. One
// thread.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "engine/base/clock.h"
#include "protocol/keys.h"
#include "protocol/message.h"

namespace potluck {

// One part that a peer wants.
struct BulkRequest {
  PeerKey peer;
  Digest digest;                    // of the whole
  std::optional<FetchGrain> grain;  // else a manifest
  uint64_t offset = 0;
  uint32_t length = 0;
  uint64_t total = 0;  // bytes of the whole, if the owner of the queue knew when it was asked
};

struct BulkPart {
  PeerKey peer;
  BulkData data;
  ByteVector bytes;
};

// The part of `whole` that is asked for; says "not found" if `whole` is empty.
BulkPart make_part(const BulkRequest& request, ByteSpan whole);

class BulkQueue {
 public:
  // How long a peer that takes no more is passed over.
  static constexpr Duration kFullPause = std::chrono::milliseconds(20);

  // What the same peer has asked for of the same whole, from this offset on, is replaced: receivers
  // ask in ascending order, so they have given those requests up.
  void add(const PeerKey& peer, const FetchManifest& fetch);
  void add(const PeerKey& peer, const FetchGrain& fetch, uint64_t total = 0);
  void forget(const PeerKey& peer);  // drops what it still wants
  bool empty() const { return waiting_.empty(); }

  // The request whose turn it is, which leaves the queue; nothing when all must wait.
  std::optional<BulkRequest> take(TimePoint now);
  // It could not be sent, for the way to the peer is full: it stays the peer's first, behind others
  // that were put back before it, and the peer is passed over until then.
  void put_back(const BulkRequest& request, TimePoint not_before);
  // When take() may give something; nothing when the queue is empty.
  std::optional<TimePoint> next_turn() const;

 private:
  struct Waiting {
    std::deque<BulkRequest> requests;  // never empty
    TimePoint not_before{0};
    size_t returned = 0;  // how many at the front were put back
  };

  void add(const BulkRequest& request);

  std::map<PeerKey, Waiting> waiting_;
  std::deque<PeerKey> turns_;  // every peer in waiting_, once
};

}  // namespace potluck
