// Base64 with the URL alphabet and without padding (RFC 4648, section 5): for tokens that people
// paste. Strict: one text for each byte sequence. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/bytes.h"

namespace potluck {

std::string encode_base64url(ByteSpan bytes);

// kInvalidArgument for a character outside the alphabet, an impossible length, or bits left over
// that are not zero.
Result<ByteVector> decode_base64url(std::string_view text);

}  // namespace potluck
