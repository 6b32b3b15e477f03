#include "engine/grammar/mask_search.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"

namespace potluck {
namespace {

// How much deeper than its rule asks for a single token may lead.
constexpr uint32_t kTokenDepth = 12;
// What is done for a way beside walking: its key, and adding a mask.
constexpr uint64_t kWayWork = 64;
// Of bytes of a state's key, as much as one unit of work takes.
constexpr uint64_t kKeyBytes = 64;

// A count that no single token can tell from this one: each round takes a byte at least.
uint32_t shared_count(const GrammarNode& node, uint32_t count, uint32_t longest_token) {
  if (node.most == 0) return 0;
  const uint64_t reach = uint64_t{count} + longest_token;
  if (reach < node.least) return node.least - longest_token - 1;
  if (count >= node.least && reach < node.most) return node.least;
  return count;
}

// Frames that no single token can tell apart share what is found: far from the ends of a count, and
// far from the depth that a grammar may have.
struct SharedFrame {
  GrammarFrame frame;
  uint32_t left = 0;  // of the depth
};

SharedFrame shared_frame(const GrammarStack& stack, const Grammar& grammar, const TokenTrie& trie) {
  SharedFrame shared{stack.back(), 0};
  shared.frame.count =
      shared_count(grammar.nodes[shared.frame.node], shared.frame.count, trie.longest());
  const auto depth = static_cast<uint32_t>(stack.size());
  shared.left = std::min(grammar.depth - depth, grammar.height + kTokenDepth);
  return shared;
}

}  // namespace

template <class Visit>
bool TreeWalk::go_on(GrammarWalk* walk, uint64_t until, const Visit& visit) {
  const auto& nodes = trie_.nodes();
  while (at_ < end_) {
    if (walk->work() >= until && !walk->is_exhausted()) return false;
    while (path_.back().end <= at_) path_.pop_back();
    const GrammarWalk::State state = walk->step(path_.back().state, nodes[at_].byte);
    if (state == GrammarWalk::kDead) {
      at_ = nodes[at_].end;
      continue;
    }
    visit(at_, state);
    path_.push_back({nodes[at_].end, state});
    ++at_;
  }
  return true;
}

MaskSearch::MaskSearch(TokenMasks* masks, std::shared_ptr<const GrammarState> state,
                       bool at_text_start)
    : masks_(*masks),
      trie_(masks->trie()),
      state_(std::move(state)),
      stage_(at_text_start && trie_.strips_leading_space() ? Stage::kTextStart : Stage::kBeginWay) {
}

uint64_t MaskSearch::go_on(uint64_t budget) {
  const uint64_t before = spent();
  if (!found_ && key_.empty()) {
    key_ = state_->key();
    key_.push_back(stage_ == Stage::kTextStart ? '1' : '0');
    spent_ += 1 + key_.size() / kKeyBytes;
    if (auto known = masks_.known(key_)) found_ = std::move(known);
  }
  while (!found_ && spent() - before < budget) {
    // Of a walk that is under way, as it counts by itself.
    const uint64_t walked = walk_ ? walk_->work() : 0;
    const uint64_t left = budget - (spent() - before);
    advance(left > UINT64_MAX - walked ? UINT64_MAX : walked + left);
  }
  if (found_) drop_walk();
  return spent() - before;
}

void MaskSearch::advance(uint64_t until) {
  if (!mask_) mask_.emplace(trie_.vocabulary_size());
  switch (stage_) {
    case Stage::kTextStart:
      return advance_text_start(until);
    case Stage::kBeginWay:
      return way_ == state_->stacks.size() ? finish() : begin_way();
    case Stage::kFrame:
      return find_frame(until);
    case Stage::kAround:
      return add_around(until);
  }
}

void MaskSearch::drop_walk() {
  if (walk_) spent_ += walk_->work();
  walk_.reset();
  tree_.reset();
}

void MaskSearch::allow_at(uint32_t node) {
  for (const TokenId token : trie_.tokens_at(node)) mask_->allow(token);
}

// Happens once per answer, so nothing is kept.
void MaskSearch::advance_text_start(uint64_t until) {
  if (!walk_) {
    walk_.emplace(masks_.grammar());
    around_ = walk_->import(*state_);
  }
  const auto& nodes = trie_.nodes();
  if (branch_ < trie_.size()) {
    uint32_t begin = nodes[branch_].byte == ' ' ? branch_ + 1 : branch_;
    if (!tree_) tree_.emplace(trie_, begin, nodes[branch_].end, around_);
    if (!tree_->go_on(&*walk_, until, [&](uint32_t node, auto) { allow_at(node); })) return;
    tree_.reset();
    branch_ = nodes[branch_].end;
    return;
  }
  if (walk_->is_exhausted()) return fail();
  finish();
}

void MaskSearch::begin_way() {
  const Grammar& grammar = masks_.grammar();
  const SharedFrame shared = shared_frame(state_->stacks[way_], grammar, trie_);
  frame_key_ = fmt::format("{}:{}:{}", shared.frame.node, shared.frame.count, shared.left);
  spent_ += kWayWork;
  tokens_ = masks_.known_frame(frame_key_);
  if (tokens_ != nullptr) return add_frame();
  making_ = std::make_shared<FrameTokens>();
  walk_.emplace(grammar, grammar.depth - shared.left - 1);
  const GrammarWalk::State start = walk_->at(shared.frame);
  tree_.emplace(trie_, 0, trie_.size(), start);
  stage_ = Stage::kFrame;
}

void MaskSearch::find_frame(uint64_t until) {
  FrameTokens& made = *making_;
  const bool is_over = tree_->go_on(&*walk_, until, [&](uint32_t node, GrammarWalk::State state) {
    const auto tokens = trie_.tokens_at(node);
    made.few.insert(made.few.end(), tokens.begin(), tokens.end());
    if (walk_->may_end(state) && node + 1 < trie_.nodes()[node].end) made.leaves.push_back(node);
  });
  if (!is_over) return;
  made.work = walk_->work();
  made.is_exhausted = walk_->is_exhausted();
  if (made.few.size() * 32 > trie_.vocabulary_size()) {
    made.many = std::make_unique<TokenMask>(trie_.vocabulary_size());
    for (const TokenId token : made.few) made.many->allow(token);
    made.few = {};
  }
  drop_walk();
  tokens_ = std::move(making_);
  masks_.keep_frame(frame_key_, tokens_);
  add_frame();
}

// Stacks often end with the same frame: alternatives that begin alike.
void MaskSearch::add_frame() {
  if (seen_.insert(std::move(frame_key_)).second) {
    work_ += tokens_->work;
    for (const TokenId token : tokens_->few) mask_->allow(token);
    if (tokens_->many) mask_->add(*tokens_->many);
  }
  if (tokens_->is_exhausted || work_ > limits::kMaskWork) return fail();
  const GrammarStack& stack = state_->stacks[way_];
  if (tokens_->leaves.empty() || stack.size() == 1) return end_way();
  walk_.emplace(masks_.grammar());
  around_ = walk_->behind({stack.begin(), stack.end() - 1});
  leaf_ = 0;
  stage_ = Stage::kAround;
}

void MaskSearch::add_around(uint64_t until) {
  if (leaf_ < tokens_->leaves.size()) {
    const uint32_t leaf = tokens_->leaves[leaf_];
    if (!tree_) tree_.emplace(trie_, leaf + 1, trie_.nodes()[leaf].end, around_);
    ++spent_;  // a leaf behind which nothing can be read takes a little, too
    if (!tree_->go_on(&*walk_, until, [&](uint32_t node, auto) { allow_at(node); })) return;
    tree_.reset();
    ++leaf_;
    return;
  }
  work_ += walk_->work();
  const bool is_exhausted = walk_->is_exhausted();
  drop_walk();
  if (is_exhausted || work_ > limits::kMaskWork) return fail();
  end_way();
}

void MaskSearch::end_way() {
  ++way_;
  stage_ = Stage::kBeginWay;
}

void MaskSearch::finish() {
  if (state_->is_complete) {
    for (const TokenId end : trie_.ends()) mask_->allow(end);
  }
  if (mask_->is_empty()) {
    found_ = Error{ErrorCode::kUnsupported,
                   "no token of the vocabulary can continue the answer as the grammar asks"};
    return;
  }
  auto mask = std::make_shared<const TokenMask>(std::move(*mask_));
  masks_.keep(std::move(key_), mask);
  found_ = std::move(mask);
}

}  // namespace potluck
