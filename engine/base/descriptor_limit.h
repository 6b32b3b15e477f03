// How many files and connections this process may have open. Libraries that meet the limit abort or
// spin, so it is raised first thing, and what needs many of them asks before it begins. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"

namespace potluck {

// Raises the limit as far as the system allows without privileges (`ulimit -n` up to `ulimit -Hn`,
// but not beyond what this program can use). Call it before there are other threads.
void raise_descriptor_limit();

// How many more can be opened now.
uint64_t free_descriptors();

// kLimit, naming `ulimit -n`, when fewer than `count` can be opened: `purpose` says what for.
Status require_descriptors(uint64_t count, const std::string& purpose);

}  // namespace potluck
