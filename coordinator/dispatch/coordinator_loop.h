// CoordinatorLoop: the one loop of a coordinator. It moves messages between a CoordinatorCore and a
// Transport and decides when the core is ticked. The program runs it over ZeroMQ, the simulator and
// the tests over networks in memory and under a clock of their own.
//
// One thread at a time: hold lock() while calling anything of the loop, of its core or of its
// transport. The thread that generates takes turns itself while it waits for experts, so that an
// answer crosses no thread; while it computes, LoopKeeper takes them.
//
// The rule of ticks is the worker's (worker/worker_loop.h): a moment that passed while the loop
// waited is acted on then, even if the core would now name a later one.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "coordinator/dispatch/coordinator_core.h"

namespace potluck {

// What a loop tells its owner, in the thread that holds the lock. Any may be empty.
struct CoordinatorLoopObserver {
  std::function<void(const LogEvent& event)> notice;
  std::function<void()> turned;  // after each turn
  // Before a device is told where to connect: the owner knows by which network it came.
  std::function<void(const PeerKey& peer, JoinAccept* accept)> accepting;
};

class CoordinatorLoop {
 public:
  // A turn handles at most so many messages, for about so long; what is left waits for the next
  // one. A flood of messages thus delays ticks and sends, and never stops them.
  static constexpr size_t kMessagesPerTurn = 64;
  static constexpr Duration kHandlingPerTurn = std::chrono::milliseconds(20);
  // No turn waits longer, even if the core allows it: an extra look costs nothing.
  static constexpr Duration kLongestWait = std::chrono::milliseconds(100);
  // After so long a gap between two looks the loop was away (its machine was suspended, perhaps):
  // what peers sent meanwhile is still in a queue, so their silence does not count.
  static constexpr Duration kAway = std::chrono::seconds(2);

  // References must outlive the loop.
  CoordinatorLoop(CoordinatorCore& core, Transport& transport, const Clock& clock,
                  CoordinatorLoopObserver observer);

  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  std::unique_lock<std::mutex> try_lock() { return std::unique_lock(mutex_, std::try_to_lock); }

  // One turn: sends; waits for a message, but not longer than `longest` and not beyond the next
  // deadline; handles what has come; ticks if that is due; sends. Returns whether anything came or
  // went.
  bool turn(Duration longest);
  // Sends what the core has to say, without listening.
  void send();

  // When the core wants a turn though no message comes.
  TimePoint next_due() const;
  TimePoint last_look() const { return looked_at_; }

  CoordinatorCore& core() { return core_; }

 private:
  size_t handle(std::optional<Envelope> envelope);
  size_t send_outgoing(size_t bulk_parts);
  void report_notices();

  CoordinatorCore& core_;
  Transport& transport_;
  const Clock& clock_;
  CoordinatorLoopObserver observer_;
  std::mutex mutex_;
  TimePoint looked_at_;  // at the transport
};

}  // namespace potluck
