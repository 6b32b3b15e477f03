// A user's command that answers tool calls. One thread.
#pragma once

#include <atomic>
#include <string>

#include "engine/base/result.h"

namespace potluck {

// Runs `command` by the shell with `input` and a line end on its standard input, until it ends or
// `stop` becomes true (ErrorCode::kCancelled), and returns what it printed without the last line
// end. An exit code other than 0 stands in the text, for the model to read. Fails if the command
// cannot be run, or prints more than a megabyte.
Result<std::string> run_tool_command(const std::string& command, const std::string& input,
                                     const std::atomic<bool>& stop);

}  // namespace potluck
