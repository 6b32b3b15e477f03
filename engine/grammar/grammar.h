// Grammar: which texts an answer may be, as a pushdown automaton over bytes. A rule is a small
// automaton of its own; where it calls another one, that one is run first. Made by a
// GrammarBuilder, which has checked it: every text that it allows to begin can be finished, within
// its depth. Immutable; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace potluck {

struct GrammarEdge {
  uint8_t first = 0;  // of the bytes that take it
  uint8_t last = 0;
  uint32_t to = 0;

  bool operator==(const GrammarEdge&) const = default;
};

// Counted repetitions have a counter, of which a rule that is being run has one.
enum class GrammarNodeKind : uint8_t {
  kPlain,   // edges and jumps
  kReturn,  // the rule ends
  kCall,    // `target` is run, then `next`
  kHead,    // below `most` rounds, `target` is run once more; from `least` on, `next` may follow
  kUp,      // one round more: `target` is the head
};

struct GrammarNode {
  GrammarNodeKind kind = GrammarNodeKind::kPlain;
  bool is_tail = false;  // nothing but the end of the rule follows a call
  uint16_t height = 0;   // rules within rules that it takes at least to come to the rule's end
  uint32_t target = 0;
  uint32_t next = 0;
  uint32_t least = 0;  // of a head, and of the nodes in its rounds
  uint32_t most = 0;   // likewise; 0: in no round
  uint32_t edges = 0;  // [edges, edges_end) of the grammar's edges
  uint32_t edges_end = 0;
  uint32_t jumps = 0;  // [jumps, jumps_end) of the grammar's jumps: taken without a byte
  uint32_t jumps_end = 0;

  bool operator==(const GrammarNode&) const = default;
};

struct Grammar {
  static constexpr uint32_t kEndless = UINT32_MAX;  // GrammarNode::most

  std::vector<GrammarNode> nodes;
  std::vector<GrammarEdge> edges;
  std::vector<uint32_t> jumps;
  // Nodes to begin at: the first rule that was asked for, and so on.
  std::vector<uint32_t> entries;
  uint32_t depth = 0;   // rules within rules, at most
  uint32_t height = 0;  // of the highest node that has any

  bool operator==(const Grammar&) const = default;
};

}  // namespace potluck
