#include "engine/grammar/token_masks.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"

namespace potluck {
namespace {

// How much deeper than its rule asks for a single token may lead.
constexpr uint32_t kTokenDepth = 12;
// Beside what entries hold: keys and nodes of the tables.
constexpr uint64_t kEntryBytes = 160;

// Walks a part of the tree: `visit` is told each node that can be read, and the state behind it.
template <class Visit>
void walk_tree(const TokenTrie& trie, uint32_t begin, uint32_t end, GrammarWalk::State start,
               GrammarWalk* walk, const Visit& visit) {
  struct Level {
    uint32_t end;
    GrammarWalk::State state;
  };
  std::vector<Level> path{{end, start}};
  const auto& nodes = trie.nodes();
  for (uint32_t i = begin; i < end;) {
    while (path.back().end <= i) path.pop_back();
    const GrammarWalk::State state = walk->step(path.back().state, nodes[i].byte);
    if (state == GrammarWalk::kDead) {
      i = nodes[i].end;
      continue;
    }
    visit(i, state);
    path.push_back({nodes[i].end, state});
    ++i;
  }
}

// A count that no single token can tell from this one: each round takes a byte at least.
uint32_t shared_count(const GrammarNode& node, uint32_t count, uint32_t longest_token) {
  if (node.most == 0) return 0;
  const uint64_t reach = uint64_t{count} + longest_token;
  if (reach < node.least) return node.least - longest_token - 1;
  if (count >= node.least && reach < node.most) return node.least;
  return count;
}

Error too_ambiguous() {
  return {ErrorCode::kLimit,
          "the grammar can be read in too many ways here to say which tokens may follow"};
}

}  // namespace

bool TokenMask::is_empty() const {
  return std::ranges::all_of(words_, [](uint64_t word) { return word == 0; });
}

uint32_t TokenMask::count() const {
  uint32_t count = 0;
  for (const uint64_t word : words_) count += static_cast<uint32_t>(std::popcount(word));
  return count;
}

void TokenMask::add(const TokenMask& other) {
  for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

uint64_t TokenMasks::Local::bytes() const {
  return kEntryBytes + (few.size() + leaves.size()) * sizeof(uint32_t) + (many ? many->bytes() : 0);
}

Result<std::shared_ptr<const TokenMask>> TokenMasks::allowed(const GrammarState& state,
                                                             bool at_text_start) {
  std::string key = state.key();
  key.push_back(at_text_start && trie_.strips_leading_space() ? '1' : '0');
  const auto known = masks_.find(key);
  if (known != masks_.end()) return known->second;
  auto found = find(state, at_text_start && trie_.strips_leading_space());
  if (!found) return found.error();
  if (found->is_empty()) {
    return Error{ErrorCode::kUnsupported,
                 "no token of the vocabulary can continue the answer as the grammar asks"};
  }
  auto mask = std::make_shared<const TokenMask>(std::move(*found));
  const uint64_t bytes = mask->bytes() + key.size() + kEntryBytes;
  make_room(bytes);
  bytes_ += bytes;
  masks_.emplace(std::move(key), mask);
  return mask;
}

void TokenMasks::make_room(uint64_t bytes) {
  if (bytes_ + bytes <= limits::kMaskBytes) return;
  masks_.clear();
  locals_.clear();
  bytes_ = 0;
}

Result<TokenMask> TokenMasks::find(const GrammarState& state, bool at_text_start) {
  Search search{TokenMask(trie_.vocabulary_size()), 0, {}};
  if (at_text_start) {
    if (Status status = add_at_text_start(state, &search.mask); !status) return status.error();
  } else {
    for (const GrammarStack& stack : state.stacks) {
      if (Status status = add_stack(stack, &search); !status) return status.error();
    }
  }
  if (state.is_complete) {
    for (const TokenId end : trie_.ends()) search.mask.allow(end);
  }
  return std::move(search.mask);
}

// Happens once per answer, so nothing is kept.
Status TokenMasks::add_at_text_start(const GrammarState& state, TokenMask* mask) const {
  GrammarWalk walk(*grammar_);
  const GrammarWalk::State start = walk.import(state);
  const auto allow = [&](uint32_t node, GrammarWalk::State) {
    for (const TokenId token : trie_.tokens_at(node)) mask->allow(token);
  };
  const auto& nodes = trie_.nodes();
  for (uint32_t i = 0; i < trie_.size(); i = nodes[i].end) {
    if (nodes[i].byte == ' ') {
      walk_tree(trie_, i + 1, nodes[i].end, start, &walk, allow);
    } else {
      walk_tree(trie_, i, nodes[i].end, start, &walk, allow);
    }
  }
  if (walk.is_exhausted()) return too_ambiguous();
  return {};
}

// Stacks often end with the same frame: alternatives that begin alike.
Status TokenMasks::add_stack(const GrammarStack& stack, Search* search) {
  std::string key;
  const Local& own = local(stack, &key);
  if (search->seen.insert(std::move(key)).second) {
    search->work += own.work;
    for (const TokenId token : own.few) search->mask.allow(token);
    if (own.many) search->mask.add(*own.many);
  }
  if (own.is_exhausted || search->work > limits::kMaskWork) return too_ambiguous();
  if (own.leaves.empty() || stack.size() == 1) return {};
  GrammarWalk walk(*grammar_);
  const GrammarWalk::State behind = walk.behind({stack.begin(), stack.end() - 1});
  for (const uint32_t leaf : own.leaves) {
    walk_tree(trie_, leaf + 1, trie_.nodes()[leaf].end, behind, &walk,
              [&](uint32_t node, GrammarWalk::State) {
                for (const TokenId token : trie_.tokens_at(node)) search->mask.allow(token);
              });
  }
  search->work += walk.work();
  if (walk.is_exhausted() || search->work > limits::kMaskWork) return too_ambiguous();
  return {};
}

// Frames that no single token can tell apart share what is found: far from the ends of a count, and
// far from the depth that a grammar may have.
const TokenMasks::Local& TokenMasks::local(const GrammarStack& stack, std::string* key) {
  GrammarFrame frame = stack.back();
  frame.count = shared_count(grammar_->nodes[frame.node], frame.count, trie_.longest());
  const auto depth = static_cast<uint32_t>(stack.size());
  const uint32_t left = std::min(grammar_->depth - depth, grammar_->height + kTokenDepth);
  *key = fmt::format("{}:{}:{}", frame.node, frame.count, left);
  const auto known = locals_.find(*key);
  if (known != locals_.end()) return known->second;
  Local found = find_local(frame, grammar_->depth - left - 1);
  make_room(found.bytes() + key->size());
  bytes_ += found.bytes() + key->size();
  return locals_.emplace(*key, std::move(found)).first->second;
}

TokenMasks::Local TokenMasks::find_local(GrammarFrame frame, uint32_t outer) const {
  Local local;
  GrammarWalk walk(*grammar_, outer);
  const GrammarWalk::State start = walk.at(frame);
  walk_tree(trie_, 0, trie_.size(), start, &walk, [&](uint32_t node, GrammarWalk::State state) {
    const auto tokens = trie_.tokens_at(node);
    local.few.insert(local.few.end(), tokens.begin(), tokens.end());
    if (walk.may_end(state) && node + 1 < trie_.nodes()[node].end) local.leaves.push_back(node);
  });
  local.work = walk.work();
  local.is_exhausted = walk.is_exhausted();
  if (local.few.size() * 32 > trie_.vocabulary_size()) {
    local.many = std::make_unique<TokenMask>(trie_.vocabulary_size());
    for (const TokenId token : local.few) local.many->allow(token);
    local.few = {};
  }
  return local;
}

}  // namespace potluck
