// Names of CLI11's classes for headers. The library itself costs nine seconds of compilation in
// every file that includes it; flags.cpp and command_line.cpp alone do.
#pragma once

namespace CLI {
class App;
class Option;
}  // namespace CLI
