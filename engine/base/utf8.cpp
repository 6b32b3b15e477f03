#include "engine/base/utf8.h"

#include <algorithm>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/check.h"

namespace potluck {
namespace {

// What a lead byte promises: the length of its character, and the range of the second byte, which
// is narrower than 80..BF where overlong forms, surrogates and values above U+10FFFF must go
// (Unicode Standard, table 3-7: well-formed byte sequences).
struct LeadByte {
  size_t bytes;  // 0: no character begins like this
  uint8_t second_low;
  uint8_t second_high;
};

LeadByte describe_lead(uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  // 80..BF continue a character; C0 and C1 could only begin overlong forms of ASCII.
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

size_t ascii_run(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  size_t length = 0;
  // Eight bytes at a time: most text is ASCII, and a whole prompt is checked here.
  while (text.size() - length >= 8 && (load<uint64_t>(text.data() + length) & kHighBits) == 0) {
    length += 8;
  }
  while (length < text.size() && static_cast<uint8_t>(text[length]) < 0x80) ++length;
  return length;
}

}  // namespace

Utf8Step first_utf8_step(std::string_view text) {
  CHECK(!text.empty());
  const LeadByte lead = describe_lead(static_cast<uint8_t>(text[0]));
  if (lead.bytes == 0) return {Utf8Kind::kInvalid, 1};
  const size_t available = std::min(lead.bytes, text.size());
  for (size_t i = 1; i < available; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t low = i == 1 ? lead.second_low : 0x80;
    const uint8_t high = i == 1 ? lead.second_high : 0xBF;
    // The bytes before this one are the maximal subpart that one U+FFFD replaces; this one may
    // begin the next character.
    if (byte < low || byte > high) return {Utf8Kind::kInvalid, i};
  }
  if (available < lead.bytes) return {Utf8Kind::kUnfinished, available};
  return {Utf8Kind::kCharacter, available};
}

std::string take_characters(std::string* bytes) {
  std::string text;
  std::string_view rest = *bytes;
  while (!rest.empty()) {
    const Utf8Step step = first_utf8_step(rest);
    if (step.kind == Utf8Kind::kUnfinished) break;
    text += step.kind == Utf8Kind::kCharacter ? rest.substr(0, step.bytes) : kReplacementCharacter;
    rest.remove_prefix(step.bytes);
  }
  bytes->erase(0, bytes->size() - rest.size());
  return text;
}

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  size_t offset = 0;
  while (true) {
    offset += ascii_run(text.substr(offset));
    if (offset == text.size()) return std::nullopt;
    const Utf8Step step = first_utf8_step(text.substr(offset));
    if (step.kind != Utf8Kind::kCharacter) return offset;
    offset += step.bytes;
  }
}

uint32_t decode_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const auto tail = [&](size_t i) { return byte(i) & 0x3F; };
  switch (utf8_length(text[0])) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1F) << 6 | tail(1);
    case 3:
      return (byte(0) & 0x0F) << 12 | tail(1) << 6 | tail(2);
    default:
      return (byte(0) & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
  }
}

void append_utf8(uint32_t code_point, std::string* out) {
  const auto add = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  const auto add_tail = [&](int shift) { add(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0 | code_point >> 6);
    add_tail(0);
  } else if (code_point < 0x10000) {
    add(0xE0 | code_point >> 12);
    add_tail(6);
    add_tail(0);
  } else {
    add(0xF0 | code_point >> 18);
    add_tail(12);
    add_tail(6);
    add_tail(0);
  }
}

}  // namespace potluck
