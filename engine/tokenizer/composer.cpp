// NFC as Unicode Standard Annex 15 defines it. Text is cut at characters that nothing can join, and
// only segments of more than one character, or of one that changes, go through decomposition; most
// text passes by a look at its bytes.
#include "engine/tokenizer/composer.h"

#include <algorithm>

#include "engine/base/utf8.h"

namespace potluck {
namespace {

// Hangul syllables are composed by arithmetic (Unicode Standard, section 3.12): leading consonant,
// vowel, optional trailing consonant. A table of all 11,172 would say the same.
constexpr uint32_t kSyllableBase = 0xAC00;
constexpr uint32_t kLeadBase = 0x1100;
constexpr uint32_t kVowelBase = 0x1161;
constexpr uint32_t kTrailBase = 0x11A7;  // one before the first: index 0 means none
constexpr uint32_t kLeads = 19;
constexpr uint32_t kVowels = 21;
constexpr uint32_t kTrails = 28;
constexpr uint32_t kSyllables = kLeads * kVowels * kTrails;

// Every character below U+0300 is composed and combines with nothing before it; its UTF-8 begins
// with a byte below this.
constexpr uint8_t kFirstLeadByteOfMarks = 0xCC;

constexpr uint64_t pair_key(uint32_t first, uint32_t second) {
  return uint64_t{first} << 32 | second;
}

// In unsigned arithmetic one comparison tells whether value lies in [base, base + count).
constexpr bool in_run(uint32_t value, uint32_t base, uint32_t count) {
  return value - base < count;
}

}  // namespace

Composer::Composer() {
  // Tables by code point, up to the last one that matters: one look per character beats a search in
  // ranges.
  uint32_t end = kTrailBase + kTrails;
  for (const Decomposition& one : one_way_decompositions()) end = std::max(end, one.character + 1);
  for (const Decomposition& pair : composing_pairs()) end = std::max(end, pair.second + 1);
  for (const CombiningRange& range : combining_ranges()) end = std::max(end, range.last + 1);
  joins_.assign(end, false);
  classes_.assign(end, 0);

  for (const CombiningRange& range : combining_ranges()) {
    for (uint32_t c = range.first; c <= range.last; ++c) {
      joins_[c] = true;
      classes_[c] = range.combining_class;
    }
  }
  for (const Decomposition& pair : composing_pairs()) {
    joins_[pair.second] = true;
    decompositions_.emplace(pair.character, pair);
    compositions_.emplace(pair_key(pair.first, pair.second), pair.character);
  }
  for (const Decomposition& one : one_way_decompositions()) {
    joins_[one.character] = true;
    decompositions_.emplace(one.character, one);
  }
  for (uint32_t c = kVowelBase; c < kVowelBase + kVowels; ++c) joins_[c] = true;
  for (uint32_t c = kTrailBase + 1; c < kTrailBase + kTrails; ++c) joins_[c] = true;
}

size_t Composer::segment_end(std::string_view text, size_t begin) const {
  size_t end = begin + utf8_length(text[begin]);
  while (end < text.size() && static_cast<uint8_t>(text[end]) >= kFirstLeadByteOfMarks &&
         !is_boundary(decode_utf8(text.substr(end)))) {
    end += utf8_length(text[end]);
  }
  return end;
}

std::string_view Composer::compose(std::string_view text, std::string* buffer) const {
  const auto may_join = [](char c) { return static_cast<uint8_t>(c) >= kFirstLeadByteOfMarks; };
  if (std::none_of(text.begin(), text.end(), may_join)) return text;
  buffer->clear();
  size_t copied = 0;  // text[0, copied) is in the buffer, composed
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = segment_end(text, begin);
    const std::string_view segment = text.substr(begin, end - begin);
    const bool is_single = utf8_length(segment[0]) == segment.size();
    if (!is_single || !is_boundary(decode_utf8(segment))) {
      *buffer += text.substr(copied, begin - copied);
      compose_segment(segment, buffer);
      copied = end;
    }
    begin = end;
  }
  if (copied == 0) return text;
  *buffer += text.substr(copied);
  return *buffer;
}

void Composer::decompose(uint32_t code_point, std::vector<Character>* out) const {
  if (in_run(code_point, kSyllableBase, kSyllables)) {
    const uint32_t index = code_point - kSyllableBase;
    out->push_back({kLeadBase + index / (kVowels * kTrails), 0});
    out->push_back({kVowelBase + index / kTrails % kVowels, 0});
    if (index % kTrails != 0) out->push_back({kTrailBase + index % kTrails, 0});
    return;
  }
  const auto found = decompositions_.find(code_point);
  if (found == decompositions_.end()) {
    out->push_back({code_point, combining_class(code_point)});
    return;
  }
  // Only first parts decompose further, and at most four deep.
  decompose(found->second.first, out);
  const uint32_t second = found->second.second;
  if (second != 0) out->push_back({second, combining_class(second)});
}

uint32_t Composer::join(uint32_t first, uint32_t second) const {
  if (in_run(first, kLeadBase, kLeads) && in_run(second, kVowelBase, kVowels)) {
    return kSyllableBase + ((first - kLeadBase) * kVowels + (second - kVowelBase)) * kTrails;
  }
  if (in_run(first, kSyllableBase, kSyllables) && (first - kSyllableBase) % kTrails == 0 &&
      in_run(second, kTrailBase + 1, kTrails - 1)) {
    return first + (second - kTrailBase);
  }
  const auto found = compositions_.find(pair_key(first, second));
  return found == compositions_.end() ? 0 : found->second;
}

// The algorithm of Unicode Standard Annex 15: decompose, order the marks, join what can be joined.
void Composer::compose_segment(std::string_view segment, std::string* out) const {
  std::vector<Character> characters;
  for (size_t i = 0; i < segment.size(); i += utf8_length(segment[i])) {
    decompose(decode_utf8(segment.substr(i)), &characters);
  }
  // Marks are ordered by class, but never across a character of class 0.
  for (auto begin = characters.begin(); begin != characters.end();) {
    const auto is_starter = [](const Character& c) { return c.combining_class == 0; };
    const auto end = std::find_if(begin, characters.end(), is_starter);
    // Stable: marks of the same class keep their order, which is part of their meaning.
    std::stable_sort(begin, end, [](const Character& a, const Character& b) {
      return a.combining_class < b.combining_class;
    });
    begin = end == characters.end() ? end : end + 1;
  }

  std::vector<Character> composed;
  size_t starter = SIZE_MAX;  // index in `composed` of the last character of class 0
  for (const Character& next : characters) {
    if (starter != SIZE_MAX) {
      // A mark is blocked by one of the same or a higher class between it and the starter.
      const bool adjacent = starter + 1 == composed.size();
      const bool reaches = adjacent || (next.combining_class != 0 &&
                                        composed.back().combining_class < next.combining_class);
      const uint32_t joined = reaches ? join(composed[starter].code_point, next.code_point) : 0;
      if (joined != 0) {
        composed[starter].code_point = joined;
        continue;
      }
    }
    if (next.combining_class == 0) starter = composed.size();
    composed.push_back(next);
  }
  for (const Character& c : composed) append_utf8(c.code_point, out);
}

}  // namespace potluck
