// TicketBook: the batches under way, and how much of each is still to come. One thread.
#pragma once

#include <map>

#include "coordinator/dispatch/local_calls.h"

namespace potluck {

// One batch.
struct Ticket {
  const ExpertBatch* batch = nullptr;
  ExpertSums* out = nullptr;
  uint32_t owed = 0;     // messages without an answer; a race counts as one
  uint32_t waiting = 0;  // entries of CallQueues
  LocalCalls local;
  RowCalls stranded;             // without a last resort: what no worker can take at present
  uint32_t local_running = 0;    // parts of it that are being computed
  uint64_t slowest_compute = 0;  // of the accepted answers, nanoseconds

  bool done() const {
    return owed == 0 && waiting == 0 && local.empty() && stranded.empty() && local_running == 0;
  }
};

class TicketBook {
 public:
  // No number comes twice.
  uint64_t open(const ExpertBatch& batch, ExpertSums* out, RowCalls memory);
  // Open ones only.
  Ticket& at(uint64_t ticket) { return tickets_.at(ticket); }
  const Ticket& at(uint64_t ticket) const { return tickets_.at(ticket); }
  Ticket close(uint64_t ticket);
  bool empty() const { return tickets_.empty(); }

  bool has_local_work() const;
  std::vector<uint64_t> with_stranded() const;  // those with stranded calls, the oldest first
  uint64_t stranded_calls() const;
  // The oldest batch of which something is left to the coordinator, with its number; or null.
  std::pair<const uint64_t, Ticket>* first_with_local_work();

 private:
  std::map<uint64_t, Ticket> tickets_;
  uint64_t next_ = 1;
};

}  // namespace potluck
