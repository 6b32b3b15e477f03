#include "engine/model/prompt_lookup.h"

#include <algorithm>
#include <bit>

#include "engine/base/check.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kLeastSlots = 1024;
constexpr uint32_t kMostSlots = 256 * 1024;  // 1 MiB
// For each position: few n-grams get into each other's way.
constexpr uint32_t kSlotsPerPosition = 8;

uint32_t slots_for(uint32_t positions) {
  return std::bit_ceil(std::clamp(positions, kLeastSlots / kSlotsPerPosition,
                                  kMostSlots / kSlotsPerPosition)) *
         kSlotsPerPosition;
}

uint64_t hash_of(std::span<const TokenId> ngram) {
  uint64_t hash = 0;
  for (TokenId token : ngram) hash = mix64(hash ^ static_cast<uint64_t>(token));
  return hash;
}

// How many of the tokens before the two ends are the same.
uint32_t common_length(std::span<const TokenId> tokens, size_t end, size_t other_end) {
  uint32_t length = 0;
  while (length < PromptLookup::kMostMatched && length < other_end &&
         tokens[end - 1 - length] == tokens[other_end - 1 - length]) {
    ++length;
  }
  return length;
}

}  // namespace

PromptLookup::PromptLookup(uint32_t positions) {
  for (Index& index : indexes_) index.ends.resize(slots_for(positions));
}

void PromptLookup::update(std::span<const TokenId> tokens) {
  CHECK(tokens.size() >= known_);
  for (size_t end = known_ + 1; end <= tokens.size(); ++end) {
    for (size_t i = 0; i < kLengths.size(); ++i) {
      Index& index = indexes_[i];
      if (end < kLengths[i]) continue;
      const uint64_t hash = hash_of(tokens.subspan(end - kLengths[i], kLengths[i]));
      uint32_t& slot = index.ends[hash & (index.ends.size() - 1)];
      index.before = slot;
      slot = static_cast<uint32_t>(end);
    }
  }
  known_ = tokens.size();
}

LookupProposal PromptLookup::propose(std::span<const TokenId> tokens, uint32_t most) const {
  CHECK(tokens.size() == known_);
  for (size_t i = 0; i < kLengths.size(); ++i) {
    const size_t before = indexes_[i].before;
    if (before == 0) continue;
    const uint32_t matched = common_length(tokens, tokens.size(), before);
    if (matched < kLengths[i]) continue;  // another n-gram with this slot
    LookupProposal proposal{{}, matched};
    proposal.tokens.reserve(most);
    for (size_t next = before; proposal.tokens.size() < most; ++next) {
      const bool is_text = next < tokens.size();
      proposal.tokens.push_back(is_text ? tokens[next] : proposal.tokens[next - tokens.size()]);
    }
    return proposal;
  }
  return {};
}

}  // namespace potluck
