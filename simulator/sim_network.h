// SimNetwork: a network that exists in virtual time. Every message is under way for a time drawn
// from the seed; the order is kept within a channel of a link, as in TCP, and only there (unless a
// link is told to be worse than TCP). Endpoints may vanish, with or without the sender being told,
// be frozen, and come back as new ones. One thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "protocol/transport.h"

namespace potluck::sim {

struct LinkOptions {
  Duration least_delay{std::chrono::microseconds(100)};
  Duration mean_delay{std::chrono::microseconds(400)};  // on top, exponential
  uint64_t bytes_per_second = 100'000'000;
  // Whether what one endpoint sends another waits for what it sent before, on any channel: a wire
  // with that rate. Otherwise every message has it for itself.
  bool one_wire = false;
  // Of packets, which are sent again a round trip later: streams know loss as delay.
  double loss = 0;
  // Of messages, more than a stream would do: some come twice, some are overtaken by later ones.
  double duplicated = 0;
  double overtaken = 0;
  // Devices with the same number share the air: one message at a time. 0: a wire of its own.
  uint32_t air = 0;
};

// The way over two links, one after the other.
LinkOptions joined(const LinkOptions& first, const LinkOptions& second);

struct NetworkMessage {
  TimePoint due{0};
  uint64_t number = 0;  // of sending: ties are broken by it
  PeerKey from;
  PeerKey to;
  uint64_t life = 0;  // of the receiver, when it was sent
  uint64_t cuts = 0;  // of the link until then
  Channel channel = Channel::kCompute;
  Frames frames;
};

class SimNetwork {
 public:
  SimNetwork(const ManualClock& clock, uint64_t seed, const LinkOptions& options);

  // Of one device: all that it sends and receives goes over this link. It has a wire (or the air)
  // of its own, each way.
  void set_link(const PeerKey& key, const LinkOptions& link) { links_[key] = link; }

  // A process that listens under this key starts; what is under way to its former life is lost.
  void attach(const PeerKey& key);
  // It ends. Quietly: senders are not told, their messages are lost, and their connections look
  // whole until it is back. Its own messages that are under way arrive all the same, as from a
  // process that was killed.
  void detach(const PeerKey& key, bool quietly);
  // Nothing arrives there before `until`.
  void freeze(const PeerKey& key, TimePoint until);

  // A worker's connection to a server (the coordinator, or a worker that serves grains) on a
  // channel; without, sending fails either way.
  void connect(const PeerKey& worker, const PeerKey& server, Channel channel);
  void disconnect(const PeerKey& worker, const PeerKey& server);
  void disconnect(const PeerKey& worker, const PeerKey& server, Channel channel);
  bool connected(const PeerKey& worker, const PeerKey& server, Channel channel) const {
    return connected_.contains({worker, server, channel});
  }
  bool listening(const PeerKey& key) const;
  // At these endpoints and no others; by default the network goes by keys alone.
  void listen_at(const PeerKey& key, std::set<std::string> endpoints);
  bool listens_at(const PeerKey& key, const std::string& endpoint) const;
  // The connections between these two break, and what is under way is lost. Until then none can be
  // made; connecting again is up to the worker.
  void cut(const PeerKey& worker, const PeerKey& server, TimePoint until);
  bool is_cut(const PeerKey& a, const PeerKey& b) const { return clock_.now() < cuts(a, b).until; }
  // Nothing passes between these two any more, and neither is told.
  void sever(const PeerKey& a, const PeerKey& b);
  bool severed(const PeerKey& a, const PeerKey& b) const;
  // What the one sends the other does not arrive before then, as behind a router that forwards one
  // way alone: the sender goes on, and its stream sends all of it again afterwards.
  void hold(const PeerKey& from, const PeerKey& to, TimePoint until) { held_[{from, to}] = until; }

  // `later`: the sender's processor is ahead of the clock, and sends only after so long.
  Status send(const PeerKey& from, const PeerKey& to, Channel channel, Frames frames,
              Duration later = Duration::zero());

  // Bytes sent from one peer to another on all channels, delivered or not.
  uint64_t bytes_sent(const PeerKey& from, const PeerKey& to) const;

  // Called with every message when it is sent; may alter it.
  void set_tampering(std::function<void(NetworkMessage&)> tamper) { tamper_ = std::move(tamper); }

  std::optional<TimePoint> next_due() const;
  // The next message that is due now; nothing when there is none, or when its receiver has gone.
  std::optional<NetworkMessage> take_due();

 private:
  struct Endpoint {
    uint64_t life = 0;
    bool listening = false;
    bool quiet = false;
    TimePoint frozen_until{0};
    std::set<std::string> places;
  };
  struct Later {
    bool operator()(const NetworkMessage& a, const NetworkMessage& b) const {
      return std::tie(a.due, a.number) > std::tie(b.due, b.number);
    }
  };
  using Link = std::tuple<PeerKey, PeerKey, Channel>;
  // Both ways between two endpoints: how often it was cut, and until when.
  struct Cuts {
    uint64_t count = 0;
    TimePoint until{0};
  };
  // One way between two endpoints.
  struct Way {
    TimePoint free_at{0};
    uint64_t bytes = 0;
  };

  void drop_connections(const PeerKey& key);
  Cuts cuts(const PeerKey& a, const PeerKey& b) const;
  const LinkOptions* link_of(const PeerKey& key) const;
  LinkOptions link_between(const PeerKey& a, const PeerKey& b) const;
  Duration draw_delay(const NetworkMessage& sent, const LinkOptions& link, TimePoint start);
  TimePoint carried_by(const NetworkMessage& sent, const LinkOptions& link, TimePoint start);
  Duration resending(const NetworkMessage& sent, const LinkOptions& link) const;
  void put_under_way(NetworkMessage sent, const LinkOptions& link, TimePoint start);

  const ManualClock& clock_;
  CounterRandom random_;
  LinkOptions options_;
  std::map<PeerKey, Endpoint> endpoints_;
  using Connection = std::tuple<PeerKey, PeerKey, Channel>;  // worker, server
  std::set<Connection> connected_;
  std::set<std::pair<PeerKey, PeerKey>> severed_;  // the smaller key first
  std::map<Link, TimePoint> last_due_;
  std::map<std::pair<PeerKey, PeerKey>, Cuts> cuts_;       // the smaller key first
  std::map<std::pair<PeerKey, PeerKey>, Way> ways_;        // from, to
  std::map<PeerKey, LinkOptions> links_;                   // of devices that have one of their own
  std::map<std::pair<PeerKey, bool>, TimePoint> wires_;    // of those: free from then on; true: out
  std::map<uint32_t, TimePoint> airs_;                     // by number, likewise
  std::map<std::pair<PeerKey, PeerKey>, TimePoint> held_;  // from, to
  std::priority_queue<NetworkMessage, std::vector<NetworkMessage>, Later> queue_;
  std::function<void(NetworkMessage&)> tamper_;
  uint64_t next_number_ = 0;
};

}  // namespace potluck::sim
