// The transport of tests of the loops: queues in memory between endpoints of one process. Peers are
// identified by key like everywhere; nothing is encrypted, delayed or lost. Time passes only where
// a test says so: while a loop waits. One thread for all endpoints of a network.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "protocol/transport.h"

namespace potluck {

class InprocTransport;

// Connects endpoints; must outlive them.
class InprocNetwork {
 public:
  std::unique_ptr<InprocTransport> endpoint(const PeerKey& key);
  // What an endpoint does that would wait up to `timeout` because nothing has come: move a clock,
  // let others run. Then it looks once more. Without it, it returns at once.
  void set_idle(std::function<void(Duration timeout)> idle) { idle_ = std::move(idle); }

 private:
  friend class InprocTransport;
  // Of one receiver. As behind sockets, every sender has a queue of its own.
  struct Inbox {
    std::map<PeerKey, std::deque<Envelope>> senders;
    PeerKey last;                  // whose turn it was
    uint32_t urgent_in_a_row = 0;  // messages of kCompute that came before others
  };

  std::map<PeerKey, Inbox> inboxes_;  // by receiver; present while it is attached
  std::function<void(Duration)> idle_;
};

class InprocTransport final : public Transport {
 public:
  ~InprocTransport() override;  // the endpoint vanishes: sends to it fail from now on

  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override { return compute_bytes_; }

 private:
  friend class InprocNetwork;
  InprocTransport(InprocNetwork& network, const PeerKey& key);
  std::optional<Envelope> take();
  std::optional<Envelope> take(bool compute);

  InprocNetwork& network_;
  PeerKey key_;
  uint64_t compute_bytes_ = 0;
};

}  // namespace potluck
