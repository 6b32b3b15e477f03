// Sizes for people. Pure function; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace potluck {

std::string format_bytes(uint64_t bytes);  // "1.5 GiB"

}  // namespace potluck
