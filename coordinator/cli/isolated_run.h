// Runs a function in a process of its own and takes the text that it returns, so that whatever
// happens to it (a failed CHECK, no memory) is a result and not the end of this program. One thread
// of the caller; the function runs in a copy of it, alone.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/base/result.h"

namespace potluck {

struct IsolatedEnd {
  std::string text;        // what the function returned
  std::string fatal = {};  // empty, or how the process ended instead
};

// The error says why there is no process.
Result<IsolatedEnd> run_isolated(const std::function<std::string()>& function);

}  // namespace potluck
