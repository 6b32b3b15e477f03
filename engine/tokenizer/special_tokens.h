// Finds the names of tokens that text is cut at before anything else ("<|im_end|>"): the leftmost
// one, and of those that begin there the longest. A trie; immutable once filled, then any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck {

class SpecialTokenMatcher {
 public:
  struct Match {
    size_t begin;
    size_t end;
    TokenId token;
  };

  SpecialTokenMatcher() { roots_.fill(kNone); }

  // `name` must not be empty (CHECK). The first token of a name stays.
  void add(std::string_view name, TokenId token);

  // The first match that begins at `from` or later.
  std::optional<Match> find(std::string_view text, size_t from) const {
    return find(text, from, text.size());
  }
  // The first match that begins in [from, until), wherever it ends.
  std::optional<Match> find(std::string_view text, size_t from, size_t until) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr TokenId kInner = -1;

  struct Node {
    char byte;
    TokenId token = kInner;  // the name that ends here
    uint32_t child = kNone;
    uint32_t sibling = kNone;
  };

  uint32_t find_child(uint32_t first, char byte) const;
  uint32_t add_child(uint32_t parent, char byte);
  std::optional<Match> longest_at(std::string_view text, size_t begin) const;

  std::array<uint32_t, 256> roots_;
  std::vector<Node> nodes_;
};

}  // namespace potluck
