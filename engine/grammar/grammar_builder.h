// GrammarBuilder: a Grammar, node by node: each function draws what leads from one node to another.
// It holds no more than limits::kGrammarNodes and kGrammarEdges; beyond that it is full, draws
// nothing more, and finish() says so. One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/grammar/code_ranges.h"
#include "engine/grammar/grammar.h"

namespace potluck {

class GrammarBuilder {
 public:
  using Node = uint32_t;
  using Rule = uint32_t;

  // The name is for errors.
  Rule rule(std::string name);
  Node begin(Rule rule) const { return rules_[rule].begin; }
  Node end(Rule rule) const { return rules_[rule].end; }

  Node node();
  void jump(Node from, Node to);
  void bytes(Node from, ByteInterval range, Node to);
  void literal(Node from, std::string_view text, Node to);
  // One of these texts, drawn as a tree: only bytes that are left decide.
  void literals(Node from, std::vector<std::string> texts, Node to);
  void character(Node from, const CodeRanges& ranges, Node to);
  void call(Node from, Rule rule, Node to);

  // A counted repetition: what leads from `begin` to `up` is one round. A rule that is being run
  // has one counter, so no repetition may lie within another one of the same rule, and a round
  // takes at least one byte.
  struct Rounds {
    Node begin;
    Node up;
  };
  Rounds repeat(Node from, uint32_t least, uint32_t most, Node to);
  // The head of such a repetition by itself: where its round begins, and where it leads.
  Node head(uint32_t least, uint32_t most, Node round, Node to);
  Node up(Node head);

  bool is_full() const { return is_full_; }

  // Grammars in which a rule begins with itself, or that allow no text, are errors.
  Result<Grammar> finish(const std::vector<Rule>& entries, uint32_t depth);

 private:
  struct RuleEnds {
    std::string name;
    Node begin = 0;
    Node end = 0;
  };
  struct Draft {
    GrammarNode node;
    std::vector<GrammarEdge> edges;
    std::vector<uint32_t> jumps;
    Rule called = 0;
  };

  Node add(GrammarNodeKind kind);
  bool takes_room();
  std::vector<bool> nullable_rules() const;
  std::vector<Rule> first_calls(Rule rule, const std::vector<bool>& nullable) const;
  std::vector<Node> reached_without_bytes(Node from, const std::vector<bool>& nullable) const;
  Status check_left_recursion(const std::vector<bool>& nullable) const;
  Status check_rounds(const std::vector<bool>& nullable) const;
  void mark_tails();
  void mark_rounds();
  void measure_heights(uint32_t depth);
  std::vector<std::vector<Node>> predecessors() const;
  bool reaches(const Draft& draft, uint32_t height) const;
  Grammar packed(const std::vector<Rule>& entries, uint32_t depth) const;

  std::vector<RuleEnds> rules_;
  std::vector<Draft> nodes_;
  size_t edges_ = 0;
  bool is_full_ = false;
};

}  // namespace potluck
