// Names of CLI11's classes for headers. The library itself costs nine seconds of compilation in
// every file that includes it; flags.cpp, command_line.cpp, command_catalog.cpp and
// printed_config.cpp alone do.
#pragma once

namespace CLI {
class App;
class Option;
}  // namespace CLI
