// GPT-2's bytes_to_unicode(): printable bytes stand for themselves, all others, in their order, for
// U+0100 and up. So any text of bytes can be written into a vocabulary as visible characters
// without blanks.
#include "engine/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace potluck {
namespace {

// Code points of the alphabet end at U+0143.
constexpr uint32_t kAlphabetEnd = 0x144;
constexpr int16_t kNotInAlphabet = -1;

// 0xAD is the soft hyphen, which is not visible.
constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

constexpr std::array<int16_t, kAlphabetEnd> make_byte_of_code_point() {
  std::array<int16_t, kAlphabetEnd> byte_of{};
  for (int16_t& byte : byte_of) byte = kNotInAlphabet;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    byte_of[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return byte_of;
}

constexpr std::array<int16_t, kAlphabetEnd> kByteOfCodePoint = make_byte_of_code_point();

}  // namespace

std::optional<std::string> decode_byte_alphabet(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t code_point = static_cast<uint8_t>(text[i]);
    if (code_point >= 0x80) {
      // Every other character of the alphabet takes two bytes, of which C2..C5 is the first.
      if (code_point < 0xC2 || code_point > 0xC5 || i + 1 == text.size()) return std::nullopt;
      const uint32_t second = static_cast<uint8_t>(text[++i]);
      if ((second & 0xC0) != 0x80) return std::nullopt;
      code_point = (code_point & 0x1F) << 6 | (second & 0x3F);
    }
    if (code_point >= kAlphabetEnd || kByteOfCodePoint[code_point] == kNotInAlphabet) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(kByteOfCodePoint[code_point]));
  }
  return bytes;
}

}  // namespace potluck
