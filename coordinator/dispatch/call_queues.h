// CallQueues: what each worker will be asked once it owes less, cut into messages as it is taken.
// Knows sizes, but neither speeds nor deadlines: see DebtLedger. One thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "coordinator/dispatch/row_calls.h"
#include "protocol/keys.h"

namespace potluck {

// Calls of one batch for one worker. The first message takes them from the front, and so on.
struct WaitingCalls {
  uint64_t ticket = 0;  // of the batch
  const ExpertBatch* batch = nullptr;
  uint32_t attempt = 0;
  RowCalls calls;
  size_t begin = 0;   // those before it are in messages already
  uint32_t rows = 0;  // of those from `begin` on
  // In which they are asked, and for which side; 0: for the batch alone.
  uint64_t race = 0;
  uint32_t side = 0;
};

// How many of the waiting rows the next message should have, where a worker's messages have at most
// `most` rows. Messages of one batch are about as long as one another, and fit the limits.
uint32_t rows_of_next(const WaitingCalls& waiting, uint32_t most);

class CallQueues {
 public:
  // Ordered by key. Adding one does not disturb an iteration.
  using Queues = std::map<PeerKey, std::deque<WaitingCalls>>;

  void add(const PeerKey& worker, WaitingCalls waiting);
  // What is next, or null.
  const WaitingCalls* front(const PeerKey& worker) const;

  // Calls that are in no message yet.
  uint64_t waiting_calls(const PeerKey& worker) const;

  struct Cut {
    RowCalls calls;
    uint32_t rows = 0;
    bool last = false;  // nothing is left of what was in front
  };
  // Takes so many rows of what is in front, or fewer if their calls are too many for a message. A
  // row is never cut. Something waits (front()), and has as many rows.
  Cut cut_front(const PeerKey& worker, uint32_t rows, CallLists* lists);

  // Everything that waits for the worker, without what is in messages already.
  std::deque<WaitingCalls> take_all(const PeerKey& worker);
  void drop_ticket(uint64_t ticket);
  // What waits for a race, or for one side of it. Returns the sides of which something was dropped.
  std::vector<uint32_t> drop_race(uint64_t race, std::optional<uint32_t> side = std::nullopt);

  const Queues& queues() const { return queues_; }
  // Lets go of the memory of workers that nothing waits for and that are not `needed`.
  template <class Needed>
  void forget_others(const Needed& needed) {
    std::erase_if(queues_,
                  [&](const auto& queue) { return queue.second.empty() && !needed(queue.first); });
  }

 private:
  Queues queues_;
};

}  // namespace potluck
