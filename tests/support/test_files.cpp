#include "tests/support/test_files.h"

#include <cstdlib>
#include <filesystem>

namespace potluck::test {

std::string source_path(const std::string& relative) {
  return POTLUCK_SOURCE_DIR "/" + relative;
}

std::string data_path(const std::string& relative) {
  return source_path("tests/data/" + relative);
}

std::string taleteller_path() {
  return source_path("demo/taleteller-Q4_K_M.gguf");
}

std::string shared_path(const std::string& relative) {
  const char* named = std::getenv("POTLUCK_SHARED");
  std::string path = (named != nullptr ? named : source_path("../shared")) + "/" + relative;
  return std::filesystem::exists(path) ? path : std::string();
}

}  // namespace potluck::test
