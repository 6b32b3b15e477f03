// Sets of Unicode characters as ranges of code points, and the UTF-8 that spells them. Pure
// functions and plain values; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace potluck {

struct CodeRange {
  uint32_t first = 0;
  uint32_t last = 0;

  bool operator==(const CodeRange&) const = default;
};

// In order, none touching the next, without surrogates: what normalized() returns.
using CodeRanges = std::vector<CodeRange>;

CodeRanges normalized(CodeRanges ranges);
CodeRanges complement(const CodeRanges& ranges);
CodeRanges intersection(const CodeRanges& a, const CodeRanges& b);
inline CodeRanges all_characters() {
  return complement({});
}

struct ByteInterval {
  uint8_t first = 0;
  uint8_t last = 0;
};
// One to four bytes that spell characters of the range, and no others.
using ByteSequence = std::vector<ByteInterval>;
std::vector<ByteSequence> utf8_sequences(const CodeRange& range);

}  // namespace potluck
