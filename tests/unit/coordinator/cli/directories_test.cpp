#include "coordinator/cli/directories.h"

#include <map>

#include <gtest/gtest.h>

namespace potluck {
namespace {

Directories found_with(std::map<std::string, std::string> variables,
                       const std::string& existing = "") {
  return find_directories(
      [&](const std::string& name) {
        auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
      },
      [&](const std::string& path) { return path == existing; });
}

TEST(Directories, HaveTheDefaultsOfTheSpecification) {
  const Directories found = found_with({{"HOME", "/home/a"}});
  EXPECT_EQ(found.config, "/home/a/.config/potluck");
  EXPECT_EQ(found.data, "/home/a/.local/share/potluck");
  EXPECT_EQ(found.state, "/home/a/.local/state/potluck");
  EXPECT_EQ(found.cache, "/home/a/.cache/potluck");
}

TEST(Directories, FollowTheVariablesWithAbsolutePaths) {
  const Directories found = found_with({{"HOME", "/home/a"},
                                        {"XDG_CONFIG_HOME", "/c"},
                                        {"XDG_DATA_HOME", "/d"},
                                        {"XDG_STATE_HOME", "s"},
                                        {"XDG_CACHE_HOME", "/k"}});
  EXPECT_EQ(found.config, "/c/potluck");
  EXPECT_EQ(found.data, "/d/potluck");
  EXPECT_EQ(found.state, "/home/a/.local/state/potluck");
  EXPECT_EQ(found.cache, "/k/potluck");
}

TEST(Directories, AreOneWhereThatWasChosenOrIsThere) {
  for (const Directories& found :
       {found_with({{"HOME", "/home/a"}, {"POTLUCK_HOME", "/p"}, {"XDG_DATA_HOME", "/d"}},
                   "/home/a/.potluck"),
        found_with({{"HOME", "/"}, {"POTLUCK_HOME", "/p"}})}) {
    EXPECT_EQ(found.config, "/p");
    EXPECT_EQ(found.data, "/p");
    EXPECT_EQ(found.state, "/p");
    EXPECT_EQ(found.cache, "/p");
  }
  const Directories earlier =
      found_with({{"HOME", "/home/a"}, {"XDG_DATA_HOME", "/d"}}, "/home/a/.potluck");
  EXPECT_EQ(earlier.config, "/home/a/.potluck");
  EXPECT_EQ(earlier.cache, "/home/a/.potluck");
}

}  // namespace
}  // namespace potluck
