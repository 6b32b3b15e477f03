// Where this program keeps its files, for this user: the directories of the XDG Base Directory
// Specification, or one place for all of them. Pure, apart from what is about
// this process; any thread.
#pragma once

#include <functional>
#include <string>

namespace potluck {

struct Directories {
  std::string config;  // potluck.toml
  std::string data;    // keys, devices of the pool, a worker's experts, models that were spread
  std::string state;   // what was answered last (first_run.h)
  std::string cache;   // what is computed or fetched again if it is gone
  std::string reason;  // for people: what decided
};

// The value of an environment variable; empty if it is not set.
using VariableLookup = std::function<std::string(const std::string&)>;
using DirectoryCheck = std::function<bool(const std::string&)>;  // whether there is one

// $POTLUCK_HOME for everything, or ~/.potluck where an earlier version made it; else
// $XDG_CONFIG_HOME/potluck and so on, which have defaults below $HOME. As the specification asks,
// a variable with a relative path does not count.
Directories find_directories(const VariableLookup& variable, const DirectoryCheck& exists);

// Of this process.
Directories own_directories();
// For what is kept: keys, a worker's store and the status of a running coordinator. The data
// directory of this process.
std::string home_directory();

// What this machine calls itself, or else the fallback.
std::string host_name(const char* fallback);

}  // namespace potluck
