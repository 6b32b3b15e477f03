#include "coordinator/serving/scheduler.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "engine/base/check.h"

namespace potluck {
namespace {

// One step in so many goes on with background requests, too.
constexpr uint32_t kBackgroundEvery = 8;

}  // namespace

std::optional<uint32_t> Scheduler::enqueue(QueuedRequest request) {
  if (waiting() >= options_.most_waiting) return std::nullopt;
  // A new user begins where the least served one stands: waiting earns nothing.
  uint64_t least = std::numeric_limits<uint64_t>::max();
  for (const auto& [user, rows] : served_) least = std::min(least, rows);
  served_.try_emplace(request.user, served_.empty() ? 0 : least);
  Entry added;
  added.request = std::move(request);
  uint32_t before = 0;
  for (const auto& [id, entry] : entries_) {
    if (!entry.is_active && comes_first(entry, added)) ++before;
  }
  CompletionId id = added.request.id;
  entries_.emplace(id, std::move(added));
  return before;
}

bool Scheduler::comes_first(const Entry& a, const Entry& b) const {
  auto rank = [this](const Entry& entry) {
    const QueuedRequest& request = entry.request;
    return std::tuple(!entry.is_requeued, request.background, active_of(request.user),
                      served(request.user), request.id);
  };
  return rank(a) < rank(b);
}

std::optional<CompletionId> Scheduler::next(
    const std::function<bool(CompletionId)>& may_start) const {
  // may_start() compares prompts: it is asked as seldom as can be.
  if (active() >= options_.most_active) return std::nullopt;
  const Entry* first = nullptr;
  // A background request that started beside these would be sent back for them at once.
  bool skips_background = any_interactive(false);
  for (const auto& [id, entry] : entries_) {
    // What was given back is for those that lack it.
    if (entry.is_starved) return std::nullopt;
    if (skips_background && entry.request.background) continue;
    if (entry.is_active || (first != nullptr && !comes_first(entry, *first))) continue;
    if (may_start(id)) first = &entry;
  }
  // Smaller ones do not overtake: what is large would wait for ever.
  if (first == nullptr || !fits(*first)) return std::nullopt;
  return first->request.id;
}

bool Scheduler::fits(const Entry& entry) const {
  if (active() >= options_.most_active) return false;
  if (active() == 0) return true;
  uint64_t bytes = options_.price.of(starting_positions(entry.request));
  if (options_.shared_bytes) bytes -= std::min(bytes, options_.shared_bytes(entry.request.id));
  return reserved_bytes() + bytes <= options_.budget;
}

uint32_t Scheduler::starting_positions(const QueuedRequest& request) const {
  return std::max(request.tokens,
                  std::min(request.tokens + kAttentionChunk, request.most_positions));
}

void Scheduler::prepare(CompletionId id, uint32_t taken) {
  Entry& entry = entries_.at(id);
  if (!entry.is_active) entry.started = ++starts_;
  entry.is_active = true;
  entry.is_requeued = false;
  entry.is_answering = false;
  entry.is_under_way = true;  // no step gets rows of it, and it is not sent back
  entry.reserved = starting_positions(entry.request);
  entry.taken = taken;
}

void Scheduler::start(CompletionId id, uint32_t cached, uint32_t due) {
  CHECK(due > 0);
  prepare(id, cached + 1);  // its first step needs no less
  Entry& entry = entries_.at(id);
  entry.is_under_way = false;
  entry.position = cached;
  entry.due = due;
}

std::vector<PlannedRows> Scheduler::plan() {
  bool with_background = takes_background();
  std::vector<PlannedRows> planned;
  ++plans_;
  plan_answers(with_background, &planned);
  plan_prompts(with_background, &planned);
  if (planned.empty()) return planned;
  // Their blocks are taken when the plan is carried out. Until it is made, none of them is held,
  // and each counts as reserved for the others.
  for (const PlannedRows& rows : planned) {
    Entry& entry = entries_.at(rows.id);
    entry.taken = std::max(entry.taken, entry.position + rows.rows);
  }
  plans_without_background_ = with_background ? 0 : plans_without_background_ + 1;
  return planned;
}

bool Scheduler::takes_background() {
  return !any_interactive(true) || plans_without_background_ + 1 >= kBackgroundEvery;
}

bool Scheduler::is_ready(const Entry& entry, bool with_background) const {
  return entry.is_active && !entry.is_under_way && entry.due > 0 &&
         (with_background || !entry.request.background);
}

// Where several steps are under way, each takes an equal part of the answers: while the experts of
// one part are away, the other part is attended to.
void Scheduler::plan_answers(bool with_background, std::vector<PlannedRows>* planned) {
  Order ready;
  for (auto& [id, entry] : entries_) {
    entry.is_starved = false;
    if (entry.is_answering && is_ready(entry, with_background)) ready.push_back(&entry);
  }
  std::ranges::sort(ready, [](const Entry* a, const Entry* b) {
    return std::tuple(a->last_plan, a->request.id) < std::tuple(b->last_plan, b->request.id);
  });
  uint32_t most =
      std::min(ceil_div(answering(with_background), options_.steps), options_.prefill_chunk);
  uint32_t left = options_.prefill_chunk - most;  // for drafts: every answer has a row before these
  for (Entry* entry : ready) {
    if (planned->size() >= most) return;
    if (!reserve(*entry)) continue;
    const uint32_t drafted = reserve_drafted(*entry, left);
    left -= drafted;
    add(*entry, 1 + drafted, planned);
  }
}

void Scheduler::plan_prompts(bool with_background, std::vector<PlannedRows>* planned) {
  uint32_t answers = answering(with_background);
  // Another step is free for the prompts: these answers need not wait for them.
  if (!planned->empty() && answers < options_.steps) return;
  Order ready;
  for (auto& [id, entry] : entries_) {
    if (!entry.is_answering && is_ready(entry, with_background)) ready.push_back(&entry);
  }
  std::ranges::sort(ready, [this](const Entry* a, const Entry* b) {
    auto rank = [this](const Entry* entry) {
      return std::tuple(entry->request.background, served(entry->request.user), entry->started);
    };
    return rank(a) < rank(b);
  });
  uint32_t taken = 0;
  for (const PlannedRows& rows : *planned) taken += rows.rows;
  uint32_t left = options_.prefill_chunk - std::min(options_.prefill_chunk, taken);
  if (answers > 0) left = std::min(left, options_.prefill_beside);
  for (Entry* entry : ready) {
    uint32_t rows = std::min(left, entry->due);
    if (rows == 0) return;
    served_[entry->request.user] += rows;
    add(*entry, rows, planned);
    left -= rows;
  }
}

void Scheduler::add(Entry& entry, uint32_t rows, std::vector<PlannedRows>* planned) {
  entry.is_under_way = true;
  entry.last_plan = plans_;
  entry.planned = rows;
  entry.drafted = 0;
  planned->push_back({entry.request.id, rows});
}

// What it has to have reserved for its next rows. Memory is taken in whole chunks.
uint32_t Scheduler::next_positions(const Entry& entry, uint32_t rows) const {
  uint32_t positions = entry.position + rows;
  if (positions <= entry.reserved) return entry.reserved;
  return std::max(positions, std::min(round_up<uint32_t>(positions, kAttentionChunk),
                                      entry.request.most_positions));
}

bool Scheduler::can_reserve(const Entry& entry, uint32_t positions) const {
  if (positions <= entry.reserved || active() <= 1) return true;
  uint64_t more = options_.price.of(positions) - options_.price.of(entry.reserved);
  return reserved_bytes() + more <= options_.budget;
}

bool Scheduler::reserve(Entry& entry) {
  uint32_t positions = next_positions(entry, 1);
  entry.is_starved = !can_reserve(entry, positions);
  if (!entry.is_starved) entry.reserved = positions;
  return !entry.is_starved;
}

// Drafts are worth no memory that others wait for: nothing starves for lack of it.
uint32_t Scheduler::reserve_drafted(Entry& entry, uint32_t most) {
  const uint32_t rows = std::min(entry.drafted, most);
  const uint32_t positions = next_positions(entry, 1 + rows);
  if (positions > entry.request.most_positions || !can_reserve(entry, positions)) return 0;
  entry.reserved = positions;
  return rows;
}

void Scheduler::apply(CompletionId id, uint32_t rows) {
  Entry& entry = entries_.at(id);
  CHECK(entry.is_under_way && rows <= entry.planned);
  entry.is_under_way = false;
  entry.position += rows;
  entry.due -= std::min(entry.due, rows);
}

void Scheduler::go_on(CompletionId id, uint32_t rows, bool is_answer) {
  Entry& entry = entries_.at(id);
  CHECK(entry.due == 0);
  entry.due = rows;
  entry.is_answering = is_answer;
}

// A request that is not in the background waits, and for nothing but memory or a place.
bool Scheduler::waits_for_room(const Entry& entry) const {
  return !entry.is_active && !entry.request.background && !fits(entry);
}

void Scheduler::set_drafted(CompletionId id, uint32_t rows) {
  Entry& entry = entries_.at(id);
  CHECK(entry.is_answering);
  entry.drafted = rows;
}

void Scheduler::take_back(CompletionId id, uint32_t rows) {
  Entry& entry = entries_.at(id);
  CHECK(!entry.is_under_way && rows < entry.planned);
  entry.position -= rows;
  entry.taken = entry.position;  // blocks behind it were given back
}

std::optional<CompletionId> Scheduler::victim() const {
  bool is_needed = std::ranges::any_of(entries_, [this](const auto& entry) {
    return entry.second.is_starved && !can_reserve(entry.second, next_positions(entry.second, 1));
  });
  bool background_needed = !is_needed && any_background_active() &&
                           std::ranges::any_of(entries_, [this](const auto& entry) {
                             return waits_for_room(entry.second);
                           });
  if (!is_needed && !background_needed) return std::nullopt;
  const Entry* last = nullptr;
  for (const auto& [id, entry] : entries_) {
    if (!entry.is_active || (!is_needed && !entry.request.background)) continue;
    auto rank = [](const Entry& of) { return std::tuple(of.request.background, of.started); };
    if (last == nullptr || rank(entry) > rank(*last)) last = &entry;
  }
  if (last == nullptr || last->is_under_way) return std::nullopt;
  return last->request.id;
}

void Scheduler::requeue(CompletionId id, uint32_t tokens) {
  Entry& entry = entries_.at(id);
  CHECK(entry.is_active && !entry.is_under_way);
  entry.is_active = false;
  entry.is_requeued = !entry.request.background;
  entry.is_starved = false;
  entry.request.tokens = tokens;
  entry.due = 0;
  entry.drafted = 0;
  entry.reserved = 0;
  entry.taken = 0;
}

void Scheduler::remove(CompletionId id) {
  auto removed = entries_.extract(id);
  const std::string& user = removed.mapped().request.user;
  bool is_last = std::ranges::none_of(
      entries_, [&](const auto& entry) { return entry.second.request.user == user; });
  if (is_last) served_.erase(user);
}

// What is held is counted where it is, as requests share it; to it comes what they have reserved
// beyond.
uint64_t Scheduler::reserved_bytes() const {
  uint64_t bytes = options_.held_bytes ? options_.held_bytes() : 0;
  for (const auto& [id, entry] : entries_) {
    if (!entry.is_active) continue;
    uint32_t held = options_.held_bytes ? kv_blocks(std::min(entry.taken, entry.reserved)) : 0;
    bytes += options_.price.fixed + options_.price.of_blocks(kv_blocks(entry.reserved) - held);
  }
  return bytes;
}

size_t Scheduler::waiting() const {
  return static_cast<size_t>(
      std::ranges::count_if(entries_, [](const auto& entry) { return !entry.second.is_active; }));
}

std::vector<CompletionId> Scheduler::queue() const {
  std::vector<const Entry*> waiting;
  for (const auto& [id, entry] : entries_) {
    if (!entry.is_active) waiting.push_back(&entry);
  }
  std::ranges::sort(waiting,
                    [this](const Entry* a, const Entry* b) { return comes_first(*a, *b); });
  std::vector<CompletionId> ids;
  ids.reserve(waiting.size());
  for (const Entry* entry : waiting) ids.push_back(entry->request.id);
  return ids;
}

uint32_t Scheduler::answering(bool with_background) const {
  return static_cast<uint32_t>(std::ranges::count_if(entries_, [&](const auto& entry) {
    bool counts = with_background || !entry.second.request.background;
    return counts && entry.second.is_active && entry.second.is_answering;
  }));
}

uint32_t Scheduler::active_of(const std::string& user) const {
  return static_cast<uint32_t>(std::ranges::count_if(entries_, [&](const auto& entry) {
    return entry.second.is_active && entry.second.request.user == user;
  }));
}

uint64_t Scheduler::served(const std::string& user) const {
  auto found = served_.find(user);
  return found == served_.end() ? 0 : found->second;
}

bool Scheduler::any_background_active() const {
  return std::ranges::any_of(entries_, [](const auto& entry) {
    return entry.second.is_active && entry.second.request.background;
  });
}

bool Scheduler::any_interactive(bool active) const {
  return std::ranges::any_of(entries_, [active](const auto& entry) {
    return entry.second.is_active == active && !entry.second.request.background;
  });
}

}  // namespace potluck
