// The transport seam. Carries two-frame messages between authenticated peers on three channels. The
// cores never see it: the owner of a core moves frames between the two. An implementation belongs
// to one thread.
#pragma once

#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "protocol/address_group.h"
#include "protocol/codec.h"
#include "protocol/keys.h"

namespace potluck {

enum class Channel : uint8_t {
  kCompute = 0,  // small and urgent: work, heartbeats, membership
  kBulk = 1,     // grains and manifests: never in the way of the above
  kJoin = 2,     // open to keys that are not on the allow list; one verb
  kServe = 3,    // a worker's side of bulk channels that other workers opened: grains it serves
};

// Of one channel to one peer, as the side that connects sees it.
enum class LinkState {
  kClosed,      // it was not asked for
  kConnecting,  // not there yet, or lost; tries again by itself
  kConnected,
  kRefused,  // the other side does not know our key; connect again to try anew
};

struct Envelope {
  PeerKey peer;  // authenticated by the transport
  Channel channel = Channel::kCompute;
  Frames frames;
  // On the join channel: from where it came, so that strangers share what there is for them.
  AddressGroup origin{};
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Queues frames to a peer. kNotFound when it is not connected (the peer is gone), kLimit when its
  // queue is full. Never blocks.
  virtual Status send(const PeerKey& peer, Channel channel, Frames frames) = 0;

  // The next message, waiting up to `timeout`; nothing when none came. Messages of kCompute come
  // before those of other channels, and peers take turns; but neither a channel nor a peer that
  // sends without end keeps the others from being heard.
  virtual std::optional<Envelope> receive(Duration timeout) = 0;

  // Bytes sent and received on the compute channel so far, both frames.
  virtual uint64_t compute_bytes() const = 0;
};

}  // namespace potluck
