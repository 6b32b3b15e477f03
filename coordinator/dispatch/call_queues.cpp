#include "coordinator/dispatch/call_queues.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "protocol/packed_sums.h"

namespace potluck {
namespace {

// Rows of a batch whose activations, and whose sums were nothing saved by packing, fit a message.
uint32_t fitting_rows(const ActivationView& input) {
  uint64_t request = activation_wire_bytes(input.form, input.columns);
  uint64_t reply = largest_packed_bytes(input.columns);
  // The reply has the same limit, and before packing it is the larger one: sums of 64 bits.
  uint64_t rows = limits::kTensorBytes / std::max(request, reply);
  return static_cast<uint32_t>(std::clamp<uint64_t>(rows, 1, limits::kRowsPerMessage));
}

// Where the next message ends; counts its rows.
size_t end_of_message(const WaitingCalls& waiting, uint32_t* rows) {
  size_t end = waiting.begin;
  uint32_t taken = 0;
  while (taken < *rows) {
    size_t row_end = end_of_row(waiting.calls, end);
    // A row is never cut, so the first one goes whatever its length.
    if (taken > 0 && row_end - waiting.begin > limits::kCallsPerMessage) break;
    end = row_end;
    ++taken;
  }
  *rows = taken;
  return end;
}

}  // namespace

uint32_t rows_of_next(const WaitingCalls& waiting, uint32_t most) {
  // Even parts: 10 rows of which 8 fit a message go as 5 and 5, not as 8 and 2.
  most = std::min(fitting_rows(waiting.batch->input), most);
  return ceil_div(waiting.rows, ceil_div(waiting.rows, most));
}

void CallQueues::add(const PeerKey& worker, WaitingCalls waiting) {
  queues_[worker].push_back(std::move(waiting));
}

const WaitingCalls* CallQueues::front(const PeerKey& worker) const {
  auto queue = queues_.find(worker);
  return queue == queues_.end() || queue->second.empty() ? nullptr : &queue->second.front();
}

uint64_t CallQueues::waiting_calls(const PeerKey& worker) const {
  auto queue = queues_.find(worker);
  if (queue == queues_.end()) return 0;
  uint64_t calls = 0;
  for (const WaitingCalls& waiting : queue->second) calls += waiting.calls.size() - waiting.begin;
  return calls;
}

CallQueues::Cut CallQueues::cut_front(const PeerKey& worker, uint32_t rows, CallLists* lists) {
  std::deque<WaitingCalls>& queue = queues_.at(worker);
  WaitingCalls& next = queue.front();
  Cut cut;
  cut.rows = rows;
  // The usual case, every layer of a decode: all fits one message, and the list is moved, not
  // copied.
  if (rows == next.rows && next.begin == 0 && next.calls.size() <= limits::kCallsPerMessage) {
    cut.calls = std::exchange(next.calls, {});
    cut.last = true;
    queue.pop_front();
    return cut;
  }
  size_t end = end_of_message(next, &cut.rows);
  cut.calls = lists->take();
  cut.calls.assign(next.calls.begin() + static_cast<ptrdiff_t>(next.begin),
                   next.calls.begin() + static_cast<ptrdiff_t>(end));
  next.begin = end;
  next.rows -= cut.rows;
  cut.last = next.rows == 0;
  if (!cut.last) return cut;
  lists->give_back(std::move(next.calls));
  queue.pop_front();
  return cut;
}

std::deque<WaitingCalls> CallQueues::take_all(const PeerKey& worker) {
  auto queue = queues_.find(worker);
  if (queue == queues_.end() || queue->second.empty()) return {};
  std::deque<WaitingCalls> taken = std::exchange(queue->second, {});
  for (WaitingCalls& waiting : taken) {
    waiting.calls.erase(waiting.calls.begin(),
                        waiting.calls.begin() + static_cast<ptrdiff_t>(waiting.begin));
    waiting.begin = 0;
  }
  return taken;
}

std::vector<uint32_t> CallQueues::drop_race(uint64_t race, std::optional<uint32_t> side) {
  std::vector<uint32_t> dropped;
  for (auto& [worker, queue] : queues_) {
    std::erase_if(queue, [&](const WaitingCalls& waiting) {
      bool found = waiting.race == race && (!side || waiting.side == *side);
      if (found) dropped.push_back(waiting.side);
      return found;
    });
  }
  return dropped;
}

void CallQueues::drop_ticket(uint64_t ticket) {
  for (auto& [worker, queue] : queues_) {
    std::erase_if(queue, [&](const WaitingCalls& waiting) { return waiting.ticket == ticket; });
  }
}

}  // namespace potluck
