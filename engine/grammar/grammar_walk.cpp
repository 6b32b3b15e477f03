#include "engine/grammar/grammar_walk.h"

#include <algorithm>
#include <cstring>

#include "engine/grammar/grammar_limits.h"

namespace potluck {
namespace {

void append(uint32_t number, std::string* to) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  to->append(bytes, sizeof number);
}

}  // namespace

std::string GrammarState::key() const {
  std::string key(1, is_complete ? '1' : '0');
  for (const GrammarStack& stack : stacks) {
    append(static_cast<uint32_t>(stack.size()), &key);
    const auto bytes = std::as_bytes(std::span(stack));
    key.append(as_text(bytes));
  }
  return key;
}

GrammarWalk::GrammarWalk(const Grammar& grammar, uint32_t outer, uint64_t most_work)
    : grammar_(grammar), most_work_(most_work), frames_(1), states_(1), marks_(1) {
  frames_[kBottom].depth = outer;
}

GrammarWalk::FrameId GrammarWalk::intern(const Item& item) {
  std::string key;
  append(item.frame.node, &key);
  append(item.frame.count, &key);
  append(item.parent, &key);
  const auto [found, is_new] =
      frame_ids_.try_emplace(std::move(key), static_cast<FrameId>(frames_.size()));
  if (is_new) {
    is_exhausted_ = is_exhausted_ || frames_.size() >= limits::kMaskFrames;
    frames_.push_back({item.frame, item.parent, frames_[item.parent].depth + 1});
    marks_.push_back(0);
  }
  return found->second;
}

GrammarWalk::FrameId GrammarWalk::intern_stack(const GrammarStack& stack) {
  FrameId parent = kBottom;
  for (const GrammarFrame& frame : stack) parent = intern({frame, parent});
  spend(stack.size());
  return parent;
}

GrammarWalk::State GrammarWalk::at(GrammarFrame frame) {
  begin_closure();
  open_.push_back({frame, kBottom});
  close();
  return end_closure();
}

GrammarWalk::State GrammarWalk::behind(const GrammarStack& around) {
  begin_closure();
  if (around.empty()) {
    may_end_ = true;
  } else {
    const Frame frame = frames_[intern_stack(around)];
    open_.push_back({frame.frame, frame.parent});
  }
  close();
  return end_closure();
}

// The stacks are what a closure has found already. Most begin like the one before.
GrammarWalk::State GrammarWalk::import(const GrammarState& state) {
  begin_closure();
  std::vector<FrameId> path;
  const GrammarStack* before = nullptr;
  for (const GrammarStack& stack : state.stacks) {
    size_t same = 0;
    if (before != nullptr) {
      same = static_cast<size_t>(std::ranges::mismatch(stack, *before).in1 - stack.begin());
    }
    path.resize(same);
    for (size_t i = same; i < stack.size(); ++i) {
      path.push_back(intern({stack[i], path.empty() ? kBottom : path.back()}));
    }
    spend(1 + (stack.size() - same) * limits::kNewFrameWork);
    if (is_exhausted_) break;
    found_.push_back(path.empty() ? kBottom : path.back());
    before = &stack;
  }
  may_end_ = state.is_complete;
  return end_closure();
}

GrammarState GrammarWalk::copy(State state) const {
  GrammarState copy;
  copy.is_complete = states_[state].may_end;
  for (uint32_t i = states_[state].frames; i < states_[state].frames_end; ++i) {
    GrammarStack stack;
    for (FrameId id = pool_[i]; id != kBottom; id = frames_[id].parent) {
      stack.push_back(frames_[id].frame);
    }
    std::ranges::reverse(stack);
    copy.stacks.push_back(std::move(stack));
  }
  return copy;
}

GrammarWalk::State GrammarWalk::step(State state, uint8_t byte) {
  if (state == kDead || is_exhausted_) return kDead;
  if (states_[state].steps == nullptr) {
    states_[state].steps = std::make_unique<std::array<State, 256>>();
    states_[state].steps->fill(kUnknown);
  }
  ++work_;  // of no closure
  is_exhausted_ = work_ > most_work_;
  const State known = (*states_[state].steps)[byte];
  if (known != kUnknown) return known;
  begin_closure();
  for (uint32_t i = states_[state].frames; i < states_[state].frames_end; ++i) {
    const Frame frame = frames_[pool_[i]];
    const GrammarNode& node = grammar_.nodes[frame.frame.node];
    spend(node.edges_end - node.edges);
    if (is_exhausted_) break;
    for (uint32_t e = node.edges; e < node.edges_end; ++e) {
      const GrammarEdge& edge = grammar_.edges[e];
      if (byte < edge.first || byte > edge.last) continue;
      open_.push_back({{edge.to, frame.frame.count}, frame.parent});
    }
    close();
  }
  const State next = end_closure();
  (*states_[state].steps)[byte] = next;
  return next;
}

void GrammarWalk::begin_closure() {
  open_.clear();
  found_.clear();
  may_end_ = false;
  closure_work_ = 0;
  ++closure_;
}

void GrammarWalk::spend(uint64_t work) {
  work_ += work;
  closure_work_ += work;
  is_exhausted_ = is_exhausted_ || work_ > most_work_ || closure_work_ > limits::kByteWork;
}

// To be taken out of the walk: every way has all the frames around it.
bool GrammarWalk::is_too_large() const {
  uint64_t frames = 0;
  for (const FrameId id : found_) frames += frames_[id].depth;
  return frames > limits::kStateFrames;
}

// Follows all that takes no byte. What can no longer be finished within the grammar's depth is left
// out, so whatever is found can be.
void GrammarWalk::close() {
  while (!open_.empty()) {
    const Item item = open_.back();
    open_.pop_back();
    spend(limits::kNewFrameWork);
    if (is_exhausted_) return open_.clear();
    const GrammarNode& node = grammar_.nodes[item.frame.node];
    if (frames_[item.parent].depth + 1 + node.height > grammar_.depth) continue;
    const FrameId id = intern(item);
    if (marks_[id] == closure_) continue;
    marks_[id] = closure_;
    expand(item, id);
  }
}

void GrammarWalk::expand(const Item& item, FrameId id) {
  const GrammarNode& node = grammar_.nodes[item.frame.node];
  const uint32_t count = item.frame.count;
  switch (node.kind) {
    case GrammarNodeKind::kPlain:
      if (node.edges != node.edges_end && found_.size() < limits::kGrammarFrames) {
        found_.push_back(id);
      }
      for (uint32_t i = node.jumps; i < node.jumps_end; ++i) {
        open_.push_back({{grammar_.jumps[i], count}, item.parent});
      }
      break;
    case GrammarNodeKind::kReturn:
      if (item.parent == kBottom) {
        may_end_ = true;
      } else {
        open_.push_back({frames_[item.parent].frame, frames_[item.parent].parent});
      }
      break;
    case GrammarNodeKind::kCall: {
      const FrameId around = node.is_tail ? item.parent : intern({{node.next, count}, item.parent});
      open_.push_back({{node.target, 0}, around});
      break;
    }
    case GrammarNodeKind::kHead:
      if (count < node.most) open_.push_back({{node.target, count}, item.parent});
      if (count >= node.least) open_.push_back({{node.next, 0}, item.parent});
      break;
    case GrammarNodeKind::kUp: {
      const GrammarNode& head = grammar_.nodes[node.target];
      // Endless repetitions count as far as anything depends on it.
      const uint32_t most = head.most == Grammar::kEndless ? head.least : head.most;
      open_.push_back({{node.target, std::min(count + 1, most)}, item.parent});
      break;
    }
  }
}

GrammarWalk::State GrammarWalk::end_closure() {
  is_exhausted_ = is_exhausted_ || is_too_large();
  if (is_exhausted_ || (found_.empty() && !may_end_)) return kDead;
  std::string key(1, may_end_ ? '1' : '0');
  for (const FrameId id : found_) append(id, &key);
  const auto [known, is_new] =
      state_ids_.try_emplace(std::move(key), static_cast<State>(states_.size()));
  if (!is_new) return known->second;
  StateData made;
  made.frames = static_cast<uint32_t>(pool_.size());
  pool_.insert(pool_.end(), found_.begin(), found_.end());
  made.frames_end = static_cast<uint32_t>(pool_.size());
  made.may_end = may_end_;
  states_.push_back(std::move(made));
  is_exhausted_ = is_exhausted_ || states_.size() > limits::kMaskStates;
  return known->second;
}

}  // namespace potluck
