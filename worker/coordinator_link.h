// CoordinatorLink: through it the parts of a session speak: to the coordinator, to other workers,
// to the user; and it knows when the coordinator was last heard of and written to. It also ends the
// session: after end() or leave() the owner of the session removes it. Owned by PoolSession, which
// hands it to its parts; what they say is appended to the worker's list of actions. One thread.
#pragma once

#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "protocol/liveness.h"
#include "worker/worker_core.h"

namespace potluck {

// What has become of a connection, to a coordinator or to another worker. kLost: it ended, or could
// not be sent to.
enum class LinkEvent { kConnected, kRefused, kLost };

class CoordinatorLink {
 public:
  // `clock` and `actions` must outlive the object.
  CoordinatorLink(const PeerKey& coordinator, const Clock& clock,
                  std::vector<WorkerAction>& actions)
      : coordinator_(coordinator), clock_(clock), actions_(actions), peer_clock_(clock.now()) {}

  const PeerKey& coordinator() const { return coordinator_; }
  const Clock& clock() const { return clock_; }
  TimePoint now() const { return clock_.now(); }

  void connect(Channel channel, const std::string& endpoint);
  void disconnect(Channel channel);
  void remember(const PoolAddress& pool);
  void send(Message message, Channel channel = Channel::kCompute, ByteVector tensor = {});
  void send_to_worker(const PeerKey& worker, Message message);
  void notice(LogLevel level, std::string text, std::vector<LogField> fields = {});

  // Ends the session, with a last notice. Who wants the coordinator to know says Goodbye before.
  void end(const std::string& reason, bool orderly = false);
  // Ends it because the user wants it so.
  void leave();
  bool ended() const { return ended_; }

  void heard() { peer_clock_.heard(now()); }
  const PeerClock& peer_clock() const { return peer_clock_; }

 private:
  PeerKey coordinator_;
  const Clock& clock_;
  std::vector<WorkerAction>& actions_;
  PeerClock peer_clock_;
  bool ended_ = false;
};

}  // namespace potluck
