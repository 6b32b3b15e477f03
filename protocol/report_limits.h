// Bounds on reports of workers; part of the limits of the wire (engine/base/limits.h).
#pragma once

#include <cstdint>

namespace potluck::limits {

// Units that a worker reports as ready in one message, and as many that it lost: a bound on the
// work that one message makes.
inline constexpr uint32_t kUnitsPerReport = 64 * 1024;

}  // namespace potluck::limits
