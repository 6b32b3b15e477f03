// A trie of first child and next sibling. Most bytes of a text begin no name, so the first byte has
// a table of its own.
#include "engine/tokenizer/special_tokens.h"

#include "engine/base/check.h"

namespace potluck {

uint32_t SpecialTokenMatcher::find_child(uint32_t first, char byte) const {
  uint32_t node = first;
  while (node != kNone && nodes_[node].byte != byte) node = nodes_[node].sibling;
  return node;
}

uint32_t SpecialTokenMatcher::add_child(uint32_t parent, char byte) {
  const auto added = static_cast<uint32_t>(nodes_.size());
  uint32_t sibling = kNone;
  if (parent == kNone) {
    roots_[static_cast<uint8_t>(byte)] = added;
  } else {
    sibling = nodes_[parent].child;
    nodes_[parent].child = added;
  }
  nodes_.push_back({byte, kInner, kNone, sibling});
  return added;
}

void SpecialTokenMatcher::add(std::string_view name, TokenId token) {
  CHECK(!name.empty());
  uint32_t node = kNone;
  for (char byte : name) {
    const uint32_t first = node == kNone ? roots_[static_cast<uint8_t>(byte)] : nodes_[node].child;
    const uint32_t known = find_child(first, byte);
    node = known == kNone ? add_child(node, byte) : known;
  }
  if (nodes_[node].token == kInner) nodes_[node].token = token;
}

std::optional<SpecialTokenMatcher::Match> SpecialTokenMatcher::longest_at(std::string_view text,
                                                                          size_t begin) const {
  std::optional<Match> longest;
  uint32_t node = roots_[static_cast<uint8_t>(text[begin])];
  for (size_t end = begin + 1; node != kNone; ++end) {
    // The longest wins: "<|im_start|>" must not be cut at a shorter name that it begins with.
    if (nodes_[node].token != kInner) longest = Match{begin, end, nodes_[node].token};
    if (end == text.size()) break;
    node = find_child(nodes_[node].child, text[end]);
  }
  return longest;
}

std::optional<SpecialTokenMatcher::Match> SpecialTokenMatcher::find(std::string_view text,
                                                                    size_t from,
                                                                    size_t until) const {
  for (size_t begin = from; begin < until; ++begin) {
    if (roots_[static_cast<uint8_t>(text[begin])] == kNone) continue;
    if (auto match = longest_at(text, begin)) return match;
  }
  return std::nullopt;
}

}  // namespace potluck
