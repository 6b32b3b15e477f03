// Times as texts of ISO 8601, and as HTTP has them. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace potluck {

// "2026-01-31T12:00:00Z"
std::string iso_time(int64_t unix_seconds);

// "Sat, 31 Jan 2026 12:00:00 GMT"
std::string http_date(int64_t unix_seconds);

}  // namespace potluck
