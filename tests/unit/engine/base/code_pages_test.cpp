#include "engine/base/code_pages.h"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace potluck {
namespace {

class StatusFile final : public SystemFiles {
 public:
  explicit StatusFile(std::string text) : text_(std::move(text)) {}
  std::optional<std::string> read(const std::string& path) const override {
    return path == "/proc/self/status" ? std::optional(text_) : std::nullopt;
  }
  std::vector<std::string> list(const std::string& /*path*/) const override { return {}; }

 private:
  std::string text_;
};

// Of files, in KiB, as the system counts.
uint64_t resident_of_files() {
  const std::string text = system_files().read("/proc/self/status").value_or("");
  const size_t found = text.find("RssFile:");
  return found == std::string::npos ? 0 : std::stoull(text.substr(found + 8));
}

TEST(CodePages, AreGivenBackAndComeAgain) {
  const uint64_t before = resident_of_files();
  if (before == 0) GTEST_SKIP() << "this system does not count";
  give_back_code_pages(StatusFile("Name:\tx\nTracerPid:\t0\n"));
  EXPECT_LT(resident_of_files(), before);
}

TEST(CodePages, StayUnderADebuggerAndWhereNothingIsKnown) {
  const uint64_t before = resident_of_files();
  give_back_code_pages(StatusFile("TracerPid:\t12\n"));
  give_back_code_pages(StatusFile(""));
  EXPECT_GE(resident_of_files(), before);
}

}  // namespace
}  // namespace potluck
