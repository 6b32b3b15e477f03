#include "engine/grammar/grammar_builder.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"

namespace potluck {
namespace {

constexpr uint16_t kNever = UINT16_MAX;

}  // namespace

bool GrammarBuilder::takes_room() {
  is_full_ = is_full_ || nodes_.size() >= limits::kGrammarNodes || edges_ >= limits::kGrammarEdges;
  return !is_full_;
}

GrammarBuilder::Node GrammarBuilder::add(GrammarNodeKind kind) {
  if (!takes_room() && !nodes_.empty()) return 0;
  nodes_.emplace_back();
  nodes_.back().node.kind = kind;
  return static_cast<Node>(nodes_.size() - 1);
}

GrammarBuilder::Rule GrammarBuilder::rule(std::string name) {
  if (!takes_room() && !rules_.empty()) return 0;
  const Node begin = node();
  const Node end = add(GrammarNodeKind::kReturn);
  rules_.push_back({std::move(name), begin, end});
  return static_cast<Rule>(rules_.size() - 1);
}

GrammarBuilder::Node GrammarBuilder::node() {
  return add(GrammarNodeKind::kPlain);
}

void GrammarBuilder::jump(Node from, Node to) {
  if (!takes_room()) return;
  nodes_[from].jumps.push_back(to);
  ++edges_;
}

void GrammarBuilder::bytes(Node from, ByteInterval range, Node to) {
  if (!takes_room()) return;
  nodes_[from].edges.push_back({range.first, range.last, to});
  ++edges_;
}

void GrammarBuilder::literal(Node from, std::string_view text, Node to) {
  if (text.empty()) return jump(from, to);
  for (size_t i = 0; i < text.size(); ++i) {
    const Node next = i + 1 == text.size() ? to : node();
    const auto byte = static_cast<uint8_t>(text[i]);
    bytes(from, {byte, byte}, next);
    from = next;
  }
}

void GrammarBuilder::literals(Node from, std::vector<std::string> texts, Node to) {
  std::ranges::sort(texts);
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  std::vector<Node> path;  // of the text before: where each of its bytes led
  std::string_view before;
  for (const std::string& text : texts) {
    const auto [same, unused] = std::ranges::mismatch(text, before);
    const auto shared = static_cast<size_t>(same - text.begin());
    path.resize(std::min(shared, path.size()));
    for (size_t i = path.size(); i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      const Node next = node();
      bytes(i == 0 ? from : path[i - 1], {byte, byte}, next);
      path.push_back(next);
    }
    jump(text.empty() ? from : path.back(), to);
    before = text;
  }
}

void GrammarBuilder::character(Node from, const CodeRanges& ranges, Node to) {
  for (const CodeRange& range : ranges) {
    for (const ByteSequence& sequence : utf8_sequences(range)) {
      Node at = from;
      for (size_t i = 0; i < sequence.size(); ++i) {
        const Node next = i + 1 == sequence.size() ? to : node();
        bytes(at, sequence[i], next);
        at = next;
      }
    }
  }
}

void GrammarBuilder::call(Node from, Rule rule, Node to) {
  const Node made = add(GrammarNodeKind::kCall);
  if (is_full_) return;
  nodes_[made].called = rule;
  nodes_[made].node.next = to;
  jump(from, made);
}

GrammarBuilder::Node GrammarBuilder::head(uint32_t least, uint32_t most, Node round, Node to) {
  const Node made = add(GrammarNodeKind::kHead);
  if (is_full_) return made;
  GrammarNode& node = nodes_[made].node;
  node.target = round;
  node.next = to;
  node.least = least;
  node.most = most;
  return made;
}

GrammarBuilder::Node GrammarBuilder::up(Node head) {
  const Node made = add(GrammarNodeKind::kUp);
  if (!is_full_) nodes_[made].node.target = head;
  return made;
}

GrammarBuilder::Rounds GrammarBuilder::repeat(Node from, uint32_t least, uint32_t most, Node to) {
  const Node round = node();
  const Node made = head(least, most, round, to);
  jump(from, made);
  return {round, up(made)};
}

Result<Grammar> GrammarBuilder::finish(const std::vector<Rule>& entries, uint32_t depth) {
  if (is_full_) {
    return Error{ErrorCode::kLimit,
                 fmt::format("it is too large: at most {} states and {} steps between them",
                             limits::kGrammarNodes, limits::kGrammarEdges)};
  }
  const std::vector<bool> nullable = nullable_rules();
  if (Status status = check_left_recursion(nullable); !status) return status.error();
  if (Status status = check_rounds(nullable); !status) return status.error();
  mark_tails();
  mark_rounds();
  measure_heights(depth);
  for (const Rule entry : entries) {
    if (nodes_[begin(entry)].node.height < depth) continue;
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("it allows no text that ends, or none with less than {} rules within "
                             "rules",
                             depth)};
  }
  return packed(entries, depth);
}

// Every node, for each node on which it depends.
std::vector<std::vector<GrammarBuilder::Node>> GrammarBuilder::predecessors() const {
  std::vector<std::vector<Node>> before(nodes_.size());
  for (Node i = 0; i < nodes_.size(); ++i) {
    const Draft& draft = nodes_[i];
    for (const GrammarEdge& edge : draft.edges) before[edge.to].push_back(i);
    for (const Node to : draft.jumps) before[to].push_back(i);
    switch (draft.node.kind) {
      case GrammarNodeKind::kCall:
        before[begin(draft.called)].push_back(i);
        before[draft.node.next].push_back(i);
        break;
      case GrammarNodeKind::kHead:
        before[draft.node.target].push_back(i);
        before[draft.node.next].push_back(i);
        break;
      case GrammarNodeKind::kUp:
        before[nodes_[draft.node.target].node.next].push_back(i);
        break;
      case GrammarNodeKind::kPlain:
      case GrammarNodeKind::kReturn:
        break;
    }
  }
  return before;
}

// Rules that the empty text fulfills.
std::vector<bool> GrammarBuilder::nullable_rules() const {
  const auto before = predecessors();
  std::vector<bool> null(nodes_.size());
  const auto is_null = [&](Node i) {
    const GrammarNode& node = nodes_[i].node;
    switch (node.kind) {
      case GrammarNodeKind::kPlain:
        return std::ranges::any_of(nodes_[i].jumps, [&](Node to) { return null[to]; });
      case GrammarNodeKind::kReturn:
        return true;
      case GrammarNodeKind::kCall:
        return null[begin(nodes_[i].called)] && null[node.next];
      case GrammarNodeKind::kHead:
        return node.least == 0 && null[node.next];
      case GrammarNodeKind::kUp:
        break;
    }
    return false;
  };
  std::vector<Node> open;
  for (Node i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].node.kind == GrammarNodeKind::kReturn) open.push_back(i);
  }
  while (!open.empty()) {
    const Node i = open.back();
    open.pop_back();
    if (null[i] || !is_null(i)) continue;
    null[i] = true;
    open.insert(open.end(), before[i].begin(), before[i].end());
  }
  std::vector<bool> rules(rules_.size());
  for (Rule rule = 0; rule < rules_.size(); ++rule) rules[rule] = null[begin(rule)];
  return rules;
}

// Rules that may be called before the rule has read a byte.
std::vector<GrammarBuilder::Rule> GrammarBuilder::first_calls(
    Rule rule, const std::vector<bool>& nullable) const {
  std::vector<Rule> calls;
  for (const Node i : reached_without_bytes(begin(rule), nullable)) {
    if (nodes_[i].node.kind == GrammarNodeKind::kCall) calls.push_back(nodes_[i].called);
  }
  return calls;
}

// Of the same rule. A round that takes no byte would be counted again and again.
std::vector<GrammarBuilder::Node> GrammarBuilder::reached_without_bytes(
    Node from, const std::vector<bool>& nullable) const {
  std::vector<Node> reached;
  std::unordered_set<Node> seen;
  std::vector<Node> open{from};
  while (!open.empty()) {
    const Node i = open.back();
    open.pop_back();
    if (!seen.insert(i).second) continue;
    reached.push_back(i);
    const Draft& draft = nodes_[i];
    open.insert(open.end(), draft.jumps.begin(), draft.jumps.end());
    if (draft.node.kind == GrammarNodeKind::kCall && nullable[draft.called]) {
      open.push_back(draft.node.next);
    } else if (draft.node.kind == GrammarNodeKind::kHead) {
      open.push_back(draft.node.target);
      if (draft.node.least == 0) open.push_back(draft.node.next);
    }
  }
  return reached;
}

Status GrammarBuilder::check_rounds(const std::vector<bool>& nullable) const {
  for (const Draft& draft : nodes_) {
    if (draft.node.kind != GrammarNodeKind::kHead) continue;
    for (const Node i : reached_without_bytes(draft.node.target, nullable)) {
      if (nodes_[i].node.kind != GrammarNodeKind::kUp) continue;
      return Error{ErrorCode::kInvalidArgument,
                   "what is repeated many times may be empty: write it without the count"};
    }
  }
  return {};
}

Status GrammarBuilder::check_left_recursion(const std::vector<bool>& nullable) const {
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(rules_.size(), Mark::kNew);
  struct Visit {
    Rule rule;
    std::vector<Rule> left;
  };
  for (Rule first = 0; first < rules_.size(); ++first) {
    if (marks[first] != Mark::kNew) continue;
    marks[first] = Mark::kOpen;
    std::vector<Visit> path{{first, first_calls(first, nullable)}};
    while (!path.empty()) {
      if (path.back().left.empty()) {
        marks[path.back().rule] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const Rule next = path.back().left.back();
      path.back().left.pop_back();
      if (marks[next] == Mark::kDone) continue;
      if (marks[next] == Mark::kOpen) {
        return Error{
            ErrorCode::kInvalidArgument,
            fmt::format("the rule '{}' begins with itself (left recursion)", rules_[next].name)};
      }
      marks[next] = Mark::kOpen;
      path.push_back({next, first_calls(next, nullable)});
    }
  }
  return {};
}

void GrammarBuilder::mark_tails() {
  constexpr int kFar = 16;
  for (Draft& draft : nodes_) {
    if (draft.node.kind != GrammarNodeKind::kCall) continue;
    const Draft* at = &nodes_[draft.node.next];
    for (int i = 0; i < kFar && at->node.kind == GrammarNodeKind::kPlain; ++i) {
      if (!at->edges.empty() || at->jumps.size() != 1) break;
      at = &nodes_[at->jumps.front()];
    }
    draft.node.is_tail = at->node.kind == GrammarNodeKind::kReturn;
  }
}

// Nodes within a round get the bounds of its head: all that counts there agrees about them.
void GrammarBuilder::mark_rounds() {
  for (const Draft& draft : nodes_) {
    if (draft.node.kind != GrammarNodeKind::kHead) continue;
    std::vector<Node> open{draft.node.target};
    while (!open.empty()) {
      Draft& inside = nodes_[open.back()];
      open.pop_back();
      const GrammarNodeKind kind = inside.node.kind;
      const bool is_inside = kind == GrammarNodeKind::kPlain || kind == GrammarNodeKind::kCall;
      if (!is_inside || inside.node.most != 0) continue;
      inside.node.least = draft.node.least;
      inside.node.most = draft.node.most;
      open.insert(open.end(), inside.jumps.begin(), inside.jumps.end());
      for (const GrammarEdge& edge : inside.edges) open.push_back(edge.to);
      if (kind == GrammarNodeKind::kCall) open.push_back(inside.node.next);
    }
  }
}

// Whether the end of the rule is reached with no more than so many rules within it, as far as that
// is known of what follows.
bool GrammarBuilder::reaches(const Draft& draft, uint32_t height) const {
  const GrammarNode& node = draft.node;
  const auto within = [&](Node to, uint32_t most) { return nodes_[to].node.height <= most; };
  switch (node.kind) {
    case GrammarNodeKind::kPlain:
      return std::ranges::any_of(draft.jumps, [&](Node to) { return within(to, height); }) ||
             std::ranges::any_of(draft.edges,
                                 [&](const GrammarEdge& edge) { return within(edge.to, height); });
    case GrammarNodeKind::kReturn:
      return true;
    case GrammarNodeKind::kCall: {
      const uint32_t own = node.is_tail ? 0 : 1;
      return height >= own && within(begin(draft.called), height - own) &&
             within(node.next, height);
    }
    case GrammarNodeKind::kHead:
      return within(node.next, height) && (node.least == 0 || within(node.target, height));
    case GrammarNodeKind::kUp:
      break;
  }
  return within(nodes_[node.target].node.next, height);
}

void GrammarBuilder::measure_heights(uint32_t depth) {
  const auto before = predecessors();
  std::vector<Node> calls;
  std::vector<Node> open;
  for (Node i = 0; i < nodes_.size(); ++i) {
    GrammarNode& node = nodes_[i].node;
    node.height = kNever;
    if (node.kind == GrammarNodeKind::kReturn) open.push_back(i);
    if (node.kind == GrammarNodeKind::kCall) calls.push_back(i);
  }
  for (uint32_t height = 0; height < depth; ++height) {
    while (!open.empty()) {
      const Node i = open.back();
      open.pop_back();
      if (nodes_[i].node.height != kNever || !reaches(nodes_[i], height)) continue;
      nodes_[i].node.height = static_cast<uint16_t>(height);
      open.insert(open.end(), before[i].begin(), before[i].end());
    }
    open = calls;
  }
}

Grammar GrammarBuilder::packed(const std::vector<Rule>& entries, uint32_t depth) const {
  Grammar grammar;
  grammar.depth = depth;
  grammar.nodes.reserve(nodes_.size());
  grammar.edges.reserve(edges_);
  for (const Draft& draft : nodes_) {
    GrammarNode node = draft.node;
    if (node.kind == GrammarNodeKind::kCall) node.target = begin(draft.called);
    node.edges = static_cast<uint32_t>(grammar.edges.size());
    grammar.edges.insert(grammar.edges.end(), draft.edges.begin(), draft.edges.end());
    node.edges_end = static_cast<uint32_t>(grammar.edges.size());
    node.jumps = static_cast<uint32_t>(grammar.jumps.size());
    grammar.jumps.insert(grammar.jumps.end(), draft.jumps.begin(), draft.jumps.end());
    node.jumps_end = static_cast<uint32_t>(grammar.jumps.size());
    if (node.height != kNever) grammar.height = std::max<uint32_t>(grammar.height, node.height);
    grammar.nodes.push_back(node);
  }
  for (const Rule entry : entries) grammar.entries.push_back(begin(entry));
  return grammar;
}

}  // namespace potluck
