// A text as a QR code. Pure; any thread.
#pragma once

#include <string>
#include <vector>

namespace potluck {

// Rows of '0' and '1' (dark), without a margin. Empty where the text is too long.
std::vector<std::string> qr_code(const std::string& text);

}  // namespace potluck
