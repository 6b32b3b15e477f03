// What the system says about this process and others: descriptors, and which process a number
// means.
#include "engine/base/process_identity.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/descriptor_limit.h"
#include "tests/support/sample_files.h"

namespace potluck {
namespace {

using test::SampleFiles;

std::string stat_line(const std::string& name, const std::string& state, const std::string& start) {
  std::string line = "42 (" + name + ") " + state;
  for (int i = 0; i < 18; ++i) line += " 0";
  return line + " " + start + " 1 2 3\n";
}

TEST(ProcessIdentity, TheStartIsFoundWhateverTheProcessIsCalled) {
  SampleFiles files;
  for (const char* name : {"potluck", "a b", ") S 1 2 3", "((", ""}) {
    files.files["/proc/42/stat"] = stat_line(name, "S", "987654");
    EXPECT_EQ(process_start(files, 42), 987654u) << name;
  }
}

TEST(ProcessIdentity, NoProcessHasNoStart) {
  SampleFiles files;
  EXPECT_FALSE(process_start(files, 42));
  for (std::string content :
       {std::string(), std::string("42"), std::string("42 (x)"), std::string("42 (x) S 1 2"),
        stat_line("x", "Z", "5"), stat_line("x", "S", "soon")}) {
    files.files["/proc/42/stat"] = content;
    EXPECT_FALSE(process_start(files, 42)) << content;
  }
  for (int64_t process : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    EXPECT_FALSE(process_start(files, process));
  }
}

TEST(ProcessIdentity, ThisProcessHasOne) {
  auto start = process_start(system_files(), getpid());
  ASSERT_TRUE(start);
  EXPECT_GT(*start, 0u);
  EXPECT_EQ(process_start(system_files(), getpid()), start);
}

// In a process of its own: limits cannot be raised again.
template <class Check>
void in_limited_child(rlim_t soft, rlim_t hard, const Check& check) {
  pid_t child = fork();
  if (child == 0) {
    rlimit limit{soft, hard};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(2);
    _exit(check() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(DescriptorLimit, TheSoftLimitIsRaisedToTheHardOne) {
  in_limited_child(64, 512, [] {
    if (require_descriptors(100, "a test").ok()) return false;
    raise_descriptor_limit();
    return require_descriptors(100, "a test").ok() && free_descriptors() > 400;
  });
}

TEST(DescriptorLimit, AHardLimitThatIsTooLowIsNamed) {
  in_limited_child(64, 64, [] {
    raise_descriptor_limit();
    Status enough = require_descriptors(100, "a test");
    return !enough && enough.error().message.find("a test needs 100") == 0 &&
           enough.error().message.find("limit of 64") != std::string::npos &&
           enough.error().message.find("ulimit -n") != std::string::npos;
  });
}

}  // namespace
}  // namespace potluck
