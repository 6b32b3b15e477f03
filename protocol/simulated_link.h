// SimulatedLink: a transport that holds messages back as a slow link would: a one-way delay and a
// rate, each way on its own. Every byte really crosses the transport behind it. Like two streams on
// one wire, compute messages pass bulk ones that wait, and cost them their time. Belongs to the
// thread of the transport behind it, and never blocks it beyond what receive() may wait.
#pragma once

#include <deque>
#include <functional>

#include "engine/base/shared_rate.h"
#include "protocol/transport.h"

namespace potluck {

struct LinkSpec {
  Duration delay{0};  // one way
  uint64_t bytes_per_second = 0;
};

class SimulatedLink final : public Transport {
 public:
  // A queue on the way holds so much at most: more than any window of ours has under way.
  static constexpr uint64_t kMostHeldBytes = 64 * kMiB;

  using IsConnected = std::function<bool(const PeerKey& peer, Channel channel)>;

  // References must outlive the link. `connected` tells whether a message can set out at all.
  SimulatedLink(Transport& real, const LinkSpec& link, IsConnected connected, const Clock& clock);

  // What cannot be delivered once it was on its way is lost.
  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override { return real_.compute_bytes(); }

  // Sends what is on its way, as it gets due, for at most `timeout`: before a peer is disconnected.
  void finish_sending(Duration timeout);

 private:
  // One way of the link. A message is through when the link has carried it and all before it, and
  // arrives the delay later.
  class Way {
   public:
    explicit Way(const LinkSpec& link)
        : delay_(link.delay), all_(link.bytes_per_second), urgent_(link.bytes_per_second) {}

    bool has_room(const Frames& frames) const;
    void push(Envelope envelope, TimePoint now);
    std::optional<Envelope> pop(TimePoint now);
    TimePoint next_arrival() const;  // TimePoint::max() when nothing is on its way
    bool empty() const { return urgent_messages_.empty() && bulk_messages_.empty(); }

   private:
    struct Held {
      Envelope envelope;
      TimePoint arrival;
    };

    Duration delay_;
    SharedRate all_;     // what bulk messages have to wait for
    SharedRate urgent_;  // what the others have to wait for
    std::deque<Held> urgent_messages_;
    std::deque<Held> bulk_messages_;
    uint64_t held_bytes_ = 0;
  };

  void send_due(TimePoint now);
  void take_arrived(Duration timeout);

  Transport& real_;
  IsConnected connected_;
  const Clock& clock_;
  Way outgoing_;
  Way incoming_;
};

}  // namespace potluck
