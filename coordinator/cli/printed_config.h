// What --print-config shows: every value of a command's flags and where it came from, as a
// configuration file that sets the same. Pure; one thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/cli/cli11_fwd.h"
#include "coordinator/cli/config_file.h"

namespace potluck {

// Where the values of flags came from; those that nothing set are not in it.
using ValueSources = std::map<const CLI::Option*, std::string>;

// The table of a command that was parsed. What begins with '#' would have no effect in the file:
// defaults, and what only a command line can say.
std::string printed_config(CLI::App& command, const ValueSources& sources);

// A table [[name]] of the file at `path` with these settings, and the lines that they came from.
std::string printed_table(std::string_view name, const std::string& path,
                          const std::vector<Setting>& settings);

// A text as TOML writes it, quotes included; what a terminal would obey is written as \uNNNN, and
// what is no UTF-8 as U+FFFD.
std::string toml_text(const std::string& text);

}  // namespace potluck
