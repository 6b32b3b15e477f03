#include "coordinator/cli/directories.h"

#include <cstdlib>

#include <sys/stat.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr const char* kFolder = "/potluck";

Directories all_in(const std::string& directory, const std::string& reason) {
  return {directory, directory, directory, directory, reason};
}

bool is_directory(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

}  // namespace

Directories find_directories(const VariableLookup& variable, const DirectoryCheck& exists) {
  if (std::string home = variable("POTLUCK_HOME"); !home.empty()) {
    return all_in(home, "POTLUCK_HOME");
  }
  std::string user = variable("HOME");
  if (user.empty()) user = ".";
  if (exists(user + "/.potluck")) return all_in(user + "/.potluck", "it exists");
  bool given = false;
  auto base = [&](const char* name, const char* fallback) {
    const std::string value = variable(name);
    const bool counts = value.starts_with('/');
    given = given || counts;
    return (counts ? value : user + fallback) + kFolder;
  };
  Directories found;
  found.config = base("XDG_CONFIG_HOME", "/.config");
  found.data = base("XDG_DATA_HOME", "/.local/share");
  found.state = base("XDG_STATE_HOME", "/.local/state");
  found.cache = base("XDG_CACHE_HOME", "/.cache");
  found.reason = given ? "XDG variables" : "XDG defaults";
  return found;
}

Directories own_directories() {
  auto variable = [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
  return find_directories(variable, is_directory);
}

std::string home_directory() {
  return own_directories().data;
}

std::string host_name(const char* fallback) {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : fallback;
}

}  // namespace potluck
