// GrammarWalk: reads text with a Grammar, byte by byte, in all ways in which it can be read. Its
// states are interned and their steps remembered, so that walking a tree of texts costs little. A
// GrammarState is a plain value that outlives the walk, and depends on the bytes read alone. One
// thread.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_limits.h"

namespace potluck {

struct GrammarFrame {
  uint32_t node = 0;
  uint32_t count = 0;  // rounds of the repetition around the node

  bool operator==(const GrammarFrame&) const = default;
};
// Rules within rules, the outermost first; the last one reads the next byte.
using GrammarStack = std::vector<GrammarFrame>;

struct GrammarState {
  std::vector<GrammarStack> stacks;
  bool is_complete = false;  // the text may end here

  bool is_dead() const { return stacks.empty() && !is_complete; }
  // Nothing can follow.
  bool is_final() const { return stacks.empty() && is_complete; }
  // Differs for states that differ.
  std::string key() const;
};

class GrammarWalk {
 public:
  using State = uint32_t;
  static constexpr State kDead = 0;

  // `outer` rules are around what is read, and count for the depth. `most_work`: beyond it, the
  // walk is exhausted. The grammar must outlive the walk.
  explicit GrammarWalk(const Grammar& grammar, uint32_t outer = 0,
                       uint64_t most_work = limits::kMaskWork);

  // Before any byte: at a node, or what follows it without one.
  State at(GrammarFrame frame);
  // Where the innermost rule of a stack has ended; the stack is that of the rules around it.
  State behind(const GrammarStack& around);
  State import(const GrammarState& state);
  GrammarState copy(State state) const;

  State step(State state, uint8_t byte);
  // The outermost rule may end here.
  bool may_end(State state) const { return states_[state].may_end; }
  bool has_frames(State state) const { return states_[state].frames_end > states_[state].frames; }

  // More was asked for than is allowed, in all or for one byte (grammar_limits.h): what it says is
  // incomplete.
  bool is_exhausted() const { return is_exhausted_; }
  uint64_t work() const { return work_; }

 private:
  using FrameId = uint32_t;
  static constexpr FrameId kBottom = 0;
  static constexpr State kUnknown = UINT32_MAX;

  struct Frame {
    GrammarFrame frame;
    FrameId parent = kBottom;
    uint32_t depth = 0;  // with itself
  };
  struct StateData {
    uint32_t frames = 0;  // [frames, frames_end) of pool_
    uint32_t frames_end = 0;
    bool may_end = false;
    std::unique_ptr<std::array<State, 256>> steps;
  };
  struct Item {
    GrammarFrame frame;
    FrameId parent;
  };

  FrameId intern(const Item& item);
  FrameId intern_stack(const GrammarStack& stack);
  void begin_closure();
  void close();
  void expand(const Item& item, FrameId id);
  State end_closure();
  void spend(uint64_t work);
  bool is_too_large() const;

  const Grammar& grammar_;
  const uint64_t most_work_;
  std::vector<Frame> frames_;
  std::unordered_map<std::string, FrameId> frame_ids_;
  std::vector<StateData> states_;
  std::vector<FrameId> pool_;
  std::unordered_map<std::string, State> state_ids_;
  uint64_t work_ = 0;
  uint64_t closure_work_ = 0;  // of it, in this closure
  bool is_exhausted_ = false;

  // Of the closure that is being computed.
  std::vector<Item> open_;
  std::vector<FrameId> found_;
  std::vector<uint32_t> marks_;  // by frame: in which closure it was met
  uint32_t closure_ = 0;
  bool may_end_ = false;
};

}  // namespace potluck
