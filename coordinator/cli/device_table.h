// The devices of a pool as a table of a terminal: one line for each, and what has to be said of it
// below. Columns that do not fit are left out, the least important first. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/cli/pool_screen.h"

namespace potluck {

// At most `height` lines (any number of them is allowed): remarks make way for devices, and the
// last line tells how many devices are not shown.
std::vector<std::string> draw_devices(const PoolPicture& picture, ScreenSize size,
                                      const TerminalStyle& style);

}  // namespace potluck
