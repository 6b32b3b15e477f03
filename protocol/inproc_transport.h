// The transport of tests: queues in memory between endpoints of one process, optionally with a
// simulated network in between (tests/sim owns delays and losses). Peers are identified by key like
// everywhere; nothing is encrypted. One thread for all endpoints of a network.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "protocol/transport.h"

namespace potluck {

class InprocTransport;

// Connects endpoints; must outlive them.
class InprocNetwork {
 public:
  std::unique_ptr<InprocTransport> endpoint(const PeerKey& key);

 private:
  friend class InprocTransport;
  std::map<PeerKey, std::deque<Envelope>> queues_;  // by receiver; present while it is attached
};

class InprocTransport final : public Transport {
 public:
  ~InprocTransport() override;  // the endpoint vanishes: sends to it fail from now on

  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  // Never waits: nothing can arrive while the only thread is here.
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override { return compute_bytes_; }

 private:
  friend class InprocNetwork;
  InprocTransport(InprocNetwork& network, const PeerKey& key);

  InprocNetwork& network_;
  PeerKey key_;
  uint64_t compute_bytes_ = 0;
};

}  // namespace potluck
