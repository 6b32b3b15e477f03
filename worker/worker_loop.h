// WorkerLoop: the one loop of a worker. It moves messages between a WorkerCore and a Transport,
// tells the core about connections, performs what the core asks for, and decides when the core is
// ticked. The program runs it over ZeroMQ, the simulator and the tests over networks in memory and
// under a clock of their own. One thread.
//
// The rule of ticks: after waiting, the core is ticked if the deadline that was known before has
// passed, or the one that is known now. A moment that passed while the loop waited is never asked
// for again, so it cannot be missed; the core reports what is overdue as it is, in the past.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "worker/worker_core.h"

namespace potluck {

// The connections of a worker, as the loop needs them. Belongs to the loop's thread.
class WorkerLinks {
 public:
  virtual ~WorkerLinks() = default;

  // Begins to connect one channel; state() tells what comes of it. A connection of that channel
  // that was there is closed. The peer is a coordinator, or another worker (kBulk).
  virtual Status connect(const PeerKey& peer, Channel channel, const std::string& endpoint) = 0;
  virtual void disconnect(const PeerKey& peer) = 0;  // all channels, after what is on its way
  virtual void disconnect(const PeerKey& peer, Channel channel) = 0;
  virtual LinkState state(const PeerKey& peer, Channel channel) = 0;
  // How a coordinator is reached from now on; may be kept for the next start.
  virtual void remember(const PoolAddress&) {}
  // From now on these workers and no others may fetch grains here.
  virtual void admit(const std::set<PeerKey>& peers) = 0;
};

class WorkerLoop {
 public:
  using Observer = std::function<void(const Notice& notice)>;

  // After so long a gap between two looks at the network the loop was away (its machine was
  // suspended, perhaps): what others sent meanwhile is still in a queue.
  static constexpr Duration kAway = std::chrono::seconds(2);

  // References must outlive the loop. `observer` is told what people should read.
  WorkerLoop(WorkerCore& core, Transport& transport, WorkerLinks& links, const Clock& clock,
             Observer observer);

  // One turn: waits for a message, but not longer than `longest` and not beyond the next deadline;
  // handles it; looks at the connections; ticks if that is due; sends. One message a turn, so that
  // no flood of them keeps the loop from the rest.
  void turn(Duration longest);
  // Says goodbye to all pools.
  void leave();
  // Asks them to let others take over first: turns go on until WorkerCore::pools() is 0.
  void leave_gently();

  // When the core wants a turn though no message comes.
  TimePoint next_due() const;
  // How long a turn waits at most: connections do not report when they are made or lost.
  Duration longest_wait() const;

 private:
  struct Link {
    LinkState state = LinkState::kConnecting;
    bool coordinator = false;
  };

  void deliver(Envelope envelope);
  void watch_links();
  void watch(const PeerKey& peer, Channel channel, bool coordinator);
  void perform_actions();
  void perform(SendMessage& message);
  void perform(const ConnectChannel& connection);
  void perform(const DisconnectPeer& gone);
  void perform(const DisconnectChannel& gone);
  void perform(const ConnectPeer& connection);
  void perform(const RememberPool& reached);
  void perform(const AdmitPeers& admitted);
  void perform(const Notice& notice);

  WorkerCore& core_;
  Transport& transport_;
  WorkerLinks& links_;
  const Clock& clock_;
  Observer observer_;
  std::map<std::pair<PeerKey, Channel>, Link> known_links_;
  TimePoint listened_at_;   // the end of the last wait
  TimePoint looked_at_{0};  // the links
  TimePoint connecting_since_{0};
  bool connecting_ = false;
  uint32_t nonsense_ = 0;
};

}  // namespace potluck
