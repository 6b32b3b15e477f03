// Scheduler: which requests are worked on, and which rows of them a step gets. It knows numbers
// alone: no token, no cache, no clock. What it decides depends on the order of its calls only.
//
// One token of every answer comes before prompts; prompts get a bounded share of a step while
// anything is being answered. Users take turns, by what they had computed. Background requests wait
// for the others, but for a step now and then, so that none waits for ever. A request is priced
// in bytes of KV before it starts; those that run longer than they paid for pay more, and when
// there is no more, the one that started last gives its memory back and waits.
//
// Owned by the CompletionEngine; its thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/serving/completion.h"
#include "engine/model/kv_price.h"

namespace potluck {

struct SchedulerOptions {
  uint32_t prefill_chunk = 512;  // rows of a step, at most
  uint32_t prefill_beside = 64;  // of these, rows of prompts while anything is being answered
  uint32_t most_active = 16;     // requests worked on at a time
  uint32_t most_waiting = 64;    // requests beside these
  uint32_t steps = 1;            // under way at a time
  KvPrice price;
  uint64_t budget = 0;  // bytes of KV; must hold any request by itself
  // Bytes of the blocks that active requests have, those that they share once; and of those that
  // a waiting one would share with them. Empty: nothing is shared.
  std::function<uint64_t()> held_bytes = {};
  std::function<uint64_t(CompletionId)> shared_bytes = {};
};

struct QueuedRequest {
  CompletionId id = 0;  // the later, the larger
  std::string user;
  bool background = false;
  uint32_t tokens = 0;          // to be computed before the first one of the answer
  uint32_t most_positions = 0;  // that it may ever fill
};

struct PlannedRows {
  CompletionId id = 0;
  uint32_t rows = 0;

  bool operator==(const PlannedRows&) const = default;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options) : options_(options) {}

  // Returns how many requests come first; nothing if there is no room in the queue.
  std::optional<uint32_t> enqueue(QueuedRequest request);
  // Who of those that wait, and may start, starts now: there is a place and memory for it.
  std::optional<CompletionId> next(const std::function<bool(CompletionId)>& may_start) const;
  // It starts with so many tokens in its cache. `due` of its tokens are to be computed first.
  void start(CompletionId id, uint32_t cached, uint32_t due);
  // The same in two halves: it has its place and its memory, of which it has taken `taken`
  // positions so far, but what it begins with is still being read. To be repeated as that grows.
  void prepare(CompletionId id, uint32_t taken);

  // Changes how many rows a step may have.
  void set_prefill_chunk(uint32_t rows) { options_.prefill_chunk = rows; }
  // Changes how many rows of prompts a step may have while anything is being answered.
  void set_prefill_beside(uint32_t rows) { options_.prefill_beside = rows; }
  // The rows of the next step, which is then under way; empty if there is nothing to do.
  std::vector<PlannedRows> plan();
  // The step has ended; so many rows of this request were computed.
  void apply(CompletionId id, uint32_t rows);
  // So many rows more are due: of its prompt, or of its answer.
  void go_on(CompletionId id, uint32_t rows, bool is_answer);
  // Of an answer: its next step may have so many rows beside the one that is due, as far as the
  // step and memory have room.
  void set_drafted(CompletionId id, uint32_t rows);
  // So many of the rows that were applied last do not count.
  void take_back(CompletionId id, uint32_t rows);
  bool is_due(CompletionId id) const { return entries_.at(id).due > 0; }

  // Who has to give its memory back and wait, so that others can go on.
  std::optional<CompletionId> victim() const;
  // Does so; `tokens` have to be computed before its answer goes on.
  void requeue(CompletionId id, uint32_t tokens);
  // The request has ended.
  void remove(CompletionId id);

  uint64_t reserved_bytes() const;
  size_t waiting() const;
  // Those that wait, in the order in which they start unless others come or end meanwhile.
  std::vector<CompletionId> queue() const;
  size_t active() const { return entries_.size() - waiting(); }

 private:
  struct Entry {
    QueuedRequest request;
    bool is_active = false;
    bool is_requeued = false;
    bool is_under_way = false;
    bool is_answering = false;
    bool is_starved = false;  // has no memory for its next row
    uint32_t position = 0;
    uint32_t due = 0;
    uint32_t drafted = 0;   // rows that may come beside the one that is due
    uint32_t planned = 0;   // of the step under way
    uint32_t reserved = 0;  // positions
    uint32_t taken = 0;     // of these, positions that its cache has blocks for
    uint64_t started = 0;   // in which order
    uint64_t last_plan = 0;
  };
  using Order = std::vector<Entry*>;

  bool comes_first(const Entry& a, const Entry& b) const;
  bool fits(const Entry& entry) const;
  uint32_t starting_positions(const QueuedRequest& request) const;
  bool reserve(Entry& entry);
  uint32_t reserve_drafted(Entry& entry, uint32_t most);
  bool can_reserve(const Entry& entry, uint32_t positions) const;
  uint32_t next_positions(const Entry& entry, uint32_t rows) const;
  bool takes_background();
  bool is_ready(const Entry& entry, bool with_background) const;
  void plan_answers(bool with_background, std::vector<PlannedRows>* planned);
  void plan_prompts(bool with_background, std::vector<PlannedRows>* planned);
  void add(Entry& entry, uint32_t rows, std::vector<PlannedRows>* planned);
  uint32_t answering(bool with_background) const;
  uint32_t active_of(const std::string& user) const;
  uint64_t served(const std::string& user) const;
  bool any_interactive(bool active) const;
  bool any_background_active() const;
  bool waits_for_room(const Entry& entry) const;

  SchedulerOptions options_;
  std::map<CompletionId, Entry> entries_;
  std::map<std::string, uint64_t> served_;  // rows of prompts, by user; of those that have requests
  uint64_t starts_ = 0;
  uint64_t plans_ = 0;
  uint32_t plans_without_background_ = 0;
};

}  // namespace potluck
