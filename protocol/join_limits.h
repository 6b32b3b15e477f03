// Bounds on what joining devices can make a coordinator keep, and the other way round. Beside
// engine/base/limits.h, since only this layer needs them.
#pragma once

#include <cstdint>

namespace potluck::limits {

// Ways to one coordinator: the addresses of an invitation, and the one by which a worker came.
inline constexpr uint32_t kPoolPlaces = 9;

// Devices that wait to be admitted: more than a person brings along at a time.
inline constexpr uint32_t kWaitingDevices = 8;

}  // namespace potluck::limits
