// Text from outside as it may stand in a message: short, and without control characters that a
// terminal would obey. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace potluck {

// Printable ASCII stays as it is, every other byte becomes \xNN; what follows the first 64 bytes is
// replaced by "...".
std::string printable(std::string_view text);

}  // namespace potluck
