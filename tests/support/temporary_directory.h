// TemporaryDirectory: an empty directory of its own for one test, removed with all it holds. For
// tests of what really needs a disk; all others use MemoryStorage. One thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "engine/base/check.h"

namespace potluck::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(::testing::TempDir() + "potluck-XXXXXX") {
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  // The path of an entry in it.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace potluck::test
