#include "engine/tokenizer/visible_space.h"

namespace potluck {

std::string with_plain_spaces(std::string_view text) {
  constexpr std::string_view kVisibleSpace = "▁";  // U+2581
  std::string plain;
  plain.reserve(text.size());
  while (true) {
    const size_t mark = text.find(kVisibleSpace);
    plain += text.substr(0, mark);
    if (mark == std::string_view::npos) return plain;
    plain += ' ';
    text.remove_prefix(mark + kVisibleSpace.size());
  }
}

}  // namespace potluck
