#include "engine/grammar/code_ranges.h"

#include <algorithm>
#include <string>

#include "engine/base/utf8.h"

namespace potluck {
namespace {

constexpr uint32_t kLastCharacter = 0x10FFFF;
constexpr CodeRange kSurrogates{0xD800, 0xDFFF};

void add(CodeRange range, CodeRanges* to) {
  if (range.first > range.last) return;
  if (!to->empty() && range.first <= to->back().last + 1) {
    to->back().last = std::max(to->back().last, range.last);
  } else {
    to->push_back(range);
  }
}

// Both ends have the same number of bytes.
void split(uint32_t first, uint32_t last, std::vector<ByteSequence>* out) {
  std::string low;
  std::string high;
  append_utf8(first, &low);
  append_utf8(last, &high);
  // Where the ends differ before the last byte, all bytes behind must be free: cut until they are.
  for (size_t i = 1; i < low.size(); ++i) {
    const uint32_t mask = (1u << (6 * i)) - 1;
    if ((first & ~mask) == (last & ~mask)) continue;
    if ((first & mask) != 0) {
      split(first, first | mask, out);
      return split((first | mask) + 1, last, out);
    }
    if ((last & mask) != mask) {
      split(first, (last & ~mask) - 1, out);
      return split(last & ~mask, last, out);
    }
  }
  ByteSequence sequence;
  for (size_t i = 0; i < low.size(); ++i) {
    sequence.push_back({static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i])});
  }
  out->push_back(std::move(sequence));
}

}  // namespace

CodeRanges normalized(CodeRanges ranges) {
  std::ranges::sort(ranges, {}, &CodeRange::first);
  CodeRanges joined;
  for (CodeRange range : ranges) {
    range.last = std::min(range.last, kLastCharacter);
    if (range.first <= range.last) add(range, &joined);
  }
  CodeRanges out;
  for (const CodeRange& range : joined) {
    add({range.first, std::min(range.last, kSurrogates.first - 1)}, &out);
    add({std::max(range.first, kSurrogates.last + 1), range.last}, &out);
  }
  return out;
}

CodeRanges complement(const CodeRanges& ranges) {
  CodeRanges out;
  uint32_t next = 0;
  for (const CodeRange& range : ranges) {
    if (range.first > next) out.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCharacter) out.push_back({next, kLastCharacter});
  return normalized(std::move(out));
}

CodeRanges intersection(const CodeRanges& a, const CodeRanges& b) {
  CodeRanges out;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const CodeRange both{std::max(a[i].first, b[j].first), std::min(a[i].last, b[j].last)};
    if (both.first <= both.last) out.push_back(both);
    a[i].last < b[j].last ? ++i : ++j;
  }
  return out;
}

std::vector<ByteSequence> utf8_sequences(const CodeRange& range) {
  constexpr uint32_t kLengthEnds[] = {0x7F, 0x7FF, 0xFFFF, kLastCharacter};
  std::vector<ByteSequence> out;
  uint32_t first = range.first;
  for (const uint32_t end : kLengthEnds) {
    if (first > range.last) break;
    if (first > end) continue;
    split(first, std::min(range.last, end), &out);
    first = end + 1;
  }
  return out;
}

}  // namespace potluck
