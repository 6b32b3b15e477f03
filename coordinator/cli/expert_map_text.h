// The map of experts in characters: a row for each layer, a column for each expert, or for several
// where there is no room. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/cli/pool_screen.h"

namespace potluck {

// What stands for a worker: a digit, then letters; "#" for those beyond 61.
char device_mark(uint32_t number);
inline constexpr char kOwnMark = '*';  // the coordinator

// How many lines it takes if nothing is left out; 0 without a map.
size_t map_lines(const UnitMap& map);
// In at most `height` lines, of which at least 3 are needed.
std::vector<std::string> draw_map(const UnitMap& map, ScreenSize size, const TerminalStyle& style,
                                  MapKind kind);

}  // namespace potluck
