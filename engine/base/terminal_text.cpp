#include "engine/base/terminal_text.h"

#include <utility>

#include <fmt/format.h>

#include "engine/base/utf8.h"

namespace potluck {
namespace {

void append_escaped_byte(char byte, std::string* out) {
  *out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
}

// The next character of `text`, escaped if need be; `kept` names controls that stay. Returns how
// many bytes it took.
size_t append_shown(std::string_view text, std::string_view kept, std::string* out) {
  const Utf8Step step = first_utf8_step(text);
  const std::string_view bytes = text.substr(0, step.bytes);
  if (step.kind != Utf8Kind::kCharacter) {
    for (char byte : bytes) append_escaped_byte(byte, out);
    return step.bytes;
  }
  const uint32_t code_point = decode_utf8(bytes);
  if (!is_terminal_control(code_point) || kept.find(text[0]) != std::string_view::npos) {
    *out += bytes;
  } else if (code_point < 0x80) {
    append_escaped_byte(text[0], out);
  } else {
    *out += fmt::format("\\u{:04x}", code_point);
  }
  return step.bytes;
}

}  // namespace

// C1 controls count because a terminal may take U+009B for the start of an escape sequence.
// Overrides of the direction show text in another order than it is executed or copied in ("Trojan
// Source", CVE-2021-42574).
bool is_terminal_control(uint32_t code_point) {
  if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0)) return true;
  const bool separates = code_point == 0x2028 || code_point == 0x2029;
  const bool overrides = (code_point >= 0x202a && code_point <= 0x202e) ||
                         (code_point >= 0x2066 && code_point <= 0x2069);
  return separates || overrides;
}

std::string terminal_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) text.remove_prefix(append_shown(text, "", &out));
  return out;
}

std::string TerminalText::push(std::string_view piece) {
  pending_ += piece;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    // What it is depends on the next piece: the first half of "\r\n", or a control.
    const bool ends_in_return = rest == "\r";
    if (ends_in_return || first_utf8_step(rest).kind == Utf8Kind::kUnfinished) break;
    if (rest.starts_with("\r\n")) rest.remove_prefix(1);
    rest.remove_prefix(append_shown(rest, "\n\t", &out));
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string TerminalText::finish() {
  const std::string held = std::exchange(pending_, {});
  return terminal_line(held);
}

}  // namespace potluck
