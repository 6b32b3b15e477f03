// TextSegment: a stretch of text and where it comes from. The template language writes them, the
// tokenizer reads them. A plain value; a view into text that another object owns.
#pragma once

#include <cstdint>
#include <string_view>

namespace potluck {

// Where a stretch of a prompt comes from: only what the template writes may become control tokens.
enum class Trust : uint8_t { kUser, kTemplate };

struct TextSegment {
  std::string_view text;
  Trust trust;
};

}  // namespace potluck
