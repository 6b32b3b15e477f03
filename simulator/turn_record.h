// TurnRecord: what a loop did in one turn in which it handled one message: the message, what the
// loop sent, what it told people, and what has changed. From it follows whether the message was
// taken. Plain value; one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/dispatch/dispatcher.h"
#include "protocol/transport.h"
#include "worker/worker_core.h"

namespace potluck::sim {

struct TurnRecord {
  struct Sent {
    PeerKey to;
    Channel channel = Channel::kCompute;
    Message message;
  };
  // What a coordinator knows.
  struct Pool {
    std::optional<WorkerRecord> sender;
    DispatchStatistics statistics;
  };
  // What a worker is: in the pool whose coordinator sent the message, and in all.
  struct Worker {
    std::optional<MembershipStatus> membership;
    uint64_t bytes_fetched = 0;
  };

  PeerKey from;
  Channel channel = Channel::kCompute;
  Message message;
  bool at_worker = false;
  Pool pool_before, pool_after;        // not at_worker
  Worker worker_before, worker_after;  // at_worker
  bool admitted = false;               // a worker was told whom to admit
  std::vector<Sent> sent;
  std::vector<std::string> notices;
};

// Who is told of turns. Empty functions: no turn is recorded.
struct TurnObserver {
  std::function<bool(const PeerKey& from)> wants;
  std::function<void(const TurnRecord&)> turned;
};

}  // namespace potluck::sim
