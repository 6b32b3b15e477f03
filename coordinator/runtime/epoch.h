// The epoch of a coordinator that keeps state: a number that is another one at every start, by
// which workers notice that it has started again. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "engine/base/storage.h"

namespace potluck {

// Reads the number in the file `path` (none: 0), and writes and returns the next one, which is
// never 0: after the largest comes 1. An error leaves the file as it was.
Result<uint64_t> next_epoch(Storage& storage, const std::string& path);

}  // namespace potluck
