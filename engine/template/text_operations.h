// Operations on marked text that filters and methods share, as Python's str has them. Every byte of
// the result keeps the mark it had. Pure but for the heap; one thread per heap.
#pragma once

#include <cstdint>

#include "engine/template/value.h"

namespace potluck {

enum class Ends { kBoth, kLeft, kRight };

// Without white space at the ends, or without any of the characters in `characters`.
MarkedText strip(const MarkedText& text, Ends ends, const MarkedText* characters, Budget* budget);

// `count` < 0: all.
Result<MarkedText> replace(const MarkedText& text, const MarkedText& from, const MarkedText& to,
                           int64_t count, Budget* budget);

// Pieces between `separator`, or between runs of white space without one; at most `count` cuts
// unless it is negative, from the right end if `from_right`.
Result<Value> split(const MarkedText& text, const MarkedText* separator, int64_t count,
                    bool from_right, Heap* heap);

Result<MarkedText> join(const Values& items, const MarkedText& separator, Heap* heap);

// Lines after the first get `prefix`, the first too if asked for; empty ones only if asked for.
Result<MarkedText> indent(const MarkedText& text, const MarkedText& prefix, bool first, bool blank,
                          Budget* budget);

MarkedText upper(const MarkedText& text, Budget* budget);
MarkedText lower(const MarkedText& text, Budget* budget);
// The first character large, all others small.
MarkedText capitalize(const MarkedText& text, Budget* budget);
// Likewise each run of letters, as str.title() has it: "It'S 3Rd".
MarkedText title(const MarkedText& text, Budget* budget);
// Likewise each word, as the filter of Jinja2 has it: "It's 3rd". Words begin behind white space,
// '-' and opening brackets.
MarkedText title_words(const MarkedText& text, Budget* budget);
MarkedText reverse(const MarkedText& text, Budget* budget);

size_t count_text(std::string_view text, std::string_view needle, Budget* budget);

}  // namespace potluck
