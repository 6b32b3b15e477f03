#include <vector>

#include <fmt/format.h>

#include "engine/grammar/json_text.h"

namespace potluck {
namespace {

using Node = GrammarBuilder::Node;

const CodeRanges kDigit{{'0', '9'}};
const CodeRanges kHex{{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
// What stands for itself in a string.
const CodeRanges kPlain = complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});

constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t";
constexpr std::string_view kEscapes = "\"\\bfnrt";

void draw_hex(Node from, int digits, Node to, GrammarBuilder* builder) {
  for (int i = 0; i < digits; ++i) {
    const Node next = i + 1 == digits ? to : builder->node();
    builder->character(from, kHex, next);
    from = next;
  }
}

// Behind "\u": four digits, or eight of two surrogates, which are one character.
void draw_code(Node from, Node to, GrammarBuilder* builder) {
  const Node rest = builder->node();
  builder->character(from, {{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}, rest);
  draw_hex(rest, 3, to, builder);
  const Node after_d = builder->node();
  builder->character(from, {{'D', 'D'}, {'d', 'd'}}, after_d);
  const Node low = builder->node();
  builder->character(after_d, {{'0', '7'}}, low);
  draw_hex(low, 2, to, builder);
  const Node high = builder->node();
  builder->character(after_d, {{'8', '9'}, {'A', 'B'}, {'a', 'b'}}, high);
  const Node second = builder->node();
  draw_hex(high, 2, second, builder);
  const Node second_d = builder->node();
  builder->literal(second, "\\u", second_d);
  const Node third = builder->node();
  builder->character(second_d, {{'D', 'D'}, {'d', 'd'}}, third);
  const Node last = builder->node();
  builder->character(third, {{'C', 'F'}, {'c', 'f'}}, last);
  draw_hex(last, 2, to, builder);
}

void draw_escape(Node from, Node to, GrammarBuilder* builder) {
  const Node kind = builder->node();
  builder->literal(from, "\\", kind);
  for (const char escape : kEscapes) {
    const auto byte = static_cast<uint8_t>(escape);
    builder->bytes(kind, {byte, byte}, to);
  }
  builder->bytes(kind, {'/', '/'}, to);
  const Node code = builder->node();
  builder->bytes(kind, {'u', 'u'}, code);
  draw_code(code, to, builder);
}

// Characters that have to be escaped are, in the shortest form; of those without a short form, only
// where a set has nothing else.
void draw_written(Node from, const CodeRanges& ranges, Node to, GrammarBuilder* builder) {
  const CodeRanges plain = intersection(ranges, kPlain);
  builder->character(from, plain, to);
  std::vector<std::string> escapes;
  for (const CodeRange& range : intersection(ranges, complement(kPlain))) {
    for (uint32_t code = range.first; code <= range.last; ++code) {
      const size_t known = kEscaped.find(static_cast<char>(code));
      if (known != std::string_view::npos) {
        escapes.push_back({'\\', kEscapes[known]});
      } else if (plain.empty()) {
        escapes.push_back(fmt::format("\\u{:04x}", code));
      }
    }
  }
  builder->literals(from, std::move(escapes), to);
}

}  // namespace

void draw_json_string(uint32_t least, uint32_t most, std::string_view avoided, Node from, Node to,
                      GrammarBuilder* builder) {
  const TextAutomaton texts = avoided.empty() ? any_text() : texts_without(avoided);
  const bool is_counted = least > 0 || most != Grammar::kEndless;
  const Node end = builder->node();
  builder->literal(end, "\"", to);
  std::vector<Node> states;   // where a character is read
  std::vector<Node> entries;  // and what leads there
  std::vector<Node> firsts;
  for (size_t i = 0; i < texts.states.size(); ++i) {
    states.push_back(builder->node());
    const Node head = is_counted ? builder->head(least, most, states[i], end) : states[i];
    firsts.push_back(head);
    entries.push_back(is_counted ? builder->up(head) : head);
    if (!is_counted) builder->jump(states[i], end);
  }
  builder->literal(from, "\"", firsts[0]);
  for (size_t i = 0; i < texts.states.size(); ++i) {
    for (const TextAutomaton::Edge& edge : texts.states[i].edges) {
      builder->character(states[i], intersection(edge.ranges, kPlain), entries[edge.to]);
    }
    draw_escape(states[i], entries[0], builder);
  }
}

void draw_json_texts(const TextAutomaton& texts, Node from, Node to, GrammarBuilder* builder) {
  if (texts.states.empty()) return;
  std::vector<Node> states;
  for (size_t i = 0; i < texts.states.size(); ++i) states.push_back(builder->node());
  const Node end = builder->node();
  builder->literal(end, "\"", to);
  builder->literal(from, "\"", states[0]);
  for (size_t i = 0; i < texts.states.size() && !builder->is_full(); ++i) {
    for (const TextAutomaton::Edge& edge : texts.states[i].edges) {
      draw_written(states[i], edge.ranges, states[edge.to], builder);
    }
    if (texts.states[i].accepts) builder->jump(states[i], end);
  }
}

std::string json_literal(const JsonValue& value, std::string_view avoided) {
  std::string text = write_json(value);
  if (avoided.empty()) return text;
  for (size_t at = text.find(avoided); at != std::string::npos; at = text.find(avoided, at)) {
    const std::string escape = fmt::format("\\u{:04x}", static_cast<uint8_t>(text[at]));
    text.replace(at, 1, escape);
  }
  return text;
}

}  // namespace potluck
