#include "engine/grammar/token_trie.h"

#include <algorithm>
#include <utility>

namespace potluck {

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::span<const std::string> marks)
    : tokenizer_(tokenizer),
      marks_(marks.begin(), marks.end()),
      vocabulary_(tokenizer.vocabulary_size()),
      strips_space_(tokenizer.strips_leading_space()) {
  std::vector<std::pair<std::string, TokenId>> entries;
  entries.reserve(vocabulary_);
  for (TokenId token = 0; static_cast<uint32_t>(token) < vocabulary_; ++token) {
    if (tokenizer.is_end(token)) ends_.push_back(token);
    std::string bytes = bytes_of(token);
    if (!bytes.empty()) entries.emplace_back(std::move(bytes), token);
  }
  std::ranges::sort(entries);
  std::vector<uint32_t> path;  // nodes of the entry before, by byte
  std::string_view before;
  for (const auto& [bytes, token] : entries) {
    const auto [same, unused] = std::ranges::mismatch(bytes, before);
    const auto shared = static_cast<size_t>(same - bytes.begin());
    for (; path.size() > shared; path.pop_back()) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
    }
    for (size_t i = shared; i < bytes.size(); ++i) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({static_cast<uint8_t>(bytes[i]), 0, static_cast<uint32_t>(tokens_.size())});
    }
    tokens_.push_back(token);
    longest_ = std::max(longest_, static_cast<uint32_t>(bytes.size()));
    before = bytes;
  }
  for (const uint32_t node : path) nodes_[node].end = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({0, 0, static_cast<uint32_t>(tokens_.size())});
}

std::string TokenTrie::bytes_of(TokenId token) const {
  if (tokenizer_.is_end(token)) return {};
  std::string bytes(tokenizer_.bytes_of(token));
  if (!tokenizer_.is_control(token)) return bytes;
  if (std::ranges::find(marks_, bytes) == marks_.end()) return {};
  return kControlByte + bytes;
}

}  // namespace potluck
