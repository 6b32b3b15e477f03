// RFC 4648, section 5, without padding: a token has to survive URLs, shells and double clicks.
#include "protocol/base64url.h"

namespace potluck {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

}  // namespace

std::string encode_base64url(ByteSpan bytes) {
  std::string text;
  uint32_t buffer = 0;
  uint32_t bits = 0;
  for (std::byte byte : bytes) {
    buffer = buffer << 8 | std::to_integer<uint32_t>(byte);
    for (bits += 8; bits >= 6; bits -= 6) text += kAlphabet[buffer >> (bits - 6) & 63];
  }
  if (bits > 0) text += kAlphabet[buffer << (6 - bits) & 63];
  return text;
}

Result<ByteVector> decode_base64url(std::string_view text) {
  Error malformed{ErrorCode::kInvalidArgument, "not base64url"};
  // One character holds 6 bits, so no number of bytes comes to this length.
  if (text.size() % 4 == 1) return malformed;
  ByteVector bytes;
  uint32_t buffer = 0;
  uint32_t bits = 0;
  for (char c : text) {
    size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return malformed;
    buffer = buffer << 6 | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<std::byte>(buffer >> bits & 0xff));
  }
  // The bits left over must be zero (RFC 4648, section 3.5): the same bytes have one text, and an
  // altered last character is noticed.
  if ((buffer & ((1U << bits) - 1)) != 0) return malformed;
  return bytes;
}

}  // namespace potluck
