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
    for (const GrammarFrame& frame : stack) {
      append(frame.node, &key);
      append(frame.count, &key);
    }
  }
  return key;
}

GrammarWalk::GrammarWalk(const Grammar& grammar, uint32_t outer)
    : grammar_(grammar), frames_(1), states_(1), marks_(1) {
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
    frames_.push_back({item.frame, item.parent, frames_[item.parent].depth + 1});
    marks_.push_back(0);
  }
  return found->second;
}

GrammarWalk::FrameId GrammarWalk::intern_stack(const GrammarStack& stack) {
  FrameId parent = kBottom;
  for (const GrammarFrame& frame : stack) parent = intern({frame, parent});
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

// The stacks are what a closure has found already.
GrammarWalk::State GrammarWalk::import(const GrammarState& state) {
  begin_closure();
  for (const GrammarStack& stack : state.stacks) found_.push_back(intern_stack(stack));
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
  work_ += 1;
  is_exhausted_ = work_ > limits::kMaskWork;
  const State known = (*states_[state].steps)[byte];
  if (known != kUnknown) return known;
  begin_closure();
  for (uint32_t i = states_[state].frames; i < states_[state].frames_end; ++i) {
    const Frame frame = frames_[pool_[i]];
    const GrammarNode& node = grammar_.nodes[frame.frame.node];
    for (uint32_t e = node.edges; e < node.edges_end; ++e) {
      const GrammarEdge& edge = grammar_.edges[e];
      if (byte < edge.first || byte > edge.last) continue;
      open_.push_back({{edge.to, frame.frame.count}, frame.parent});
    }
    work_ += node.edges_end - node.edges;
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
  ++closure_;
}

// Follows all that takes no byte. What can no longer be finished within the grammar's depth is left
// out, so whatever is found can be.
void GrammarWalk::close() {
  while (!open_.empty()) {
    const Item item = open_.back();
    open_.pop_back();
    work_ += limits::kNewFrameWork;
    is_exhausted_ = is_exhausted_ || work_ > limits::kMaskWork;
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
  is_exhausted_ = states_.size() > limits::kMaskStates;
  return known->second;
}

}  // namespace potluck
