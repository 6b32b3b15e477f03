#include "engine/grammar/token_masks.h"

#include <algorithm>
#include <bit>

#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/mask_search.h"

namespace potluck {
namespace {

// Beside what entries hold: keys and nodes of the tables.
constexpr uint64_t kEntryBytes = 160;

}  // namespace

Error too_ambiguous() {
  return {ErrorCode::kLimit,
          "the grammar can be read in too many ways here to say which tokens may follow"};
}

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

uint64_t FrameTokens::bytes() const {
  return kEntryBytes + (few.size() + leaves.size()) * sizeof(uint32_t) + (many ? many->bytes() : 0);
}

Result<std::shared_ptr<const TokenMask>> TokenMasks::allowed(
    const std::shared_ptr<const GrammarState>& state, bool at_text_start) {
  MaskSearch search(this, state, at_text_start);
  (void)search.go_on(UINT64_MAX);
  return search.found();
}

std::shared_ptr<const TokenMask> TokenMasks::known(const std::string& key) const {
  const auto found = masks_.find(key);
  return found == masks_.end() ? nullptr : found->second;
}

// Another search may have found the same meanwhile.
void TokenMasks::keep(std::string key, std::shared_ptr<const TokenMask> mask) {
  if (masks_.contains(key)) return;
  const uint64_t bytes = mask->bytes() + key.size() + kEntryBytes;
  make_room(bytes);
  bytes_ += bytes;
  masks_.emplace(std::move(key), std::move(mask));
}

std::shared_ptr<const FrameTokens> TokenMasks::known_frame(const std::string& key) const {
  const auto found = frames_.find(key);
  return found == frames_.end() ? nullptr : found->second;
}

void TokenMasks::keep_frame(const std::string& key, std::shared_ptr<const FrameTokens> tokens) {
  if (frames_.contains(key)) return;
  const uint64_t bytes = tokens->bytes() + key.size();
  make_room(bytes);
  bytes_ += bytes;
  frames_.emplace(key, std::move(tokens));
}

// Searches under way hold what they need themselves.
void TokenMasks::make_room(uint64_t bytes) {
  if (bytes_ + bytes <= limits::kMaskBytes) return;
  masks_.clear();
  frames_.clear();
  bytes_ = 0;
}

}  // namespace potluck
