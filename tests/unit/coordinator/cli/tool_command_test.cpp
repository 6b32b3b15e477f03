#include "coordinator/cli/tool_command.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "coordinator/cli/standard_streams.h"
#include "engine/base/clock.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

class ToolCommand : public testing::Test {
 protected:
  ToolCommand() { let_writes_fail(); }  // as main() does: a command need not read what it is told
};

TEST_F(ToolCommand, IsToldAndAnswers) {
  const std::atomic<bool> stop = false;
  auto result = run_tool_command("read -r line; echo \"got $line\"", "{}", stop);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(*result, "got {}");
}

TEST_F(ToolCommand, ItsExitCodeIsKnownAlsoWhenItsOutputEndedBefore) {
  const std::atomic<bool> stop = false;
  auto result = run_tool_command("echo so far; exec >&-; sleep 0.2; exit 3", "{}", stop);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(*result, "error: the tool failed with exit code 3: so far");
}

// Whatever it has closed by then.
TEST_F(ToolCommand, EndsWhenItIsStopped) {
  for (const char* command : {"sleep 20", "exec >&-; sleep 20", "exec <&- >&-; sleep 20"}) {
    std::atomic<bool> stop = false;
    auto stopper = start_thread([&stop] {
      poll(nullptr, 0, 300);
      stop = true;
    });
    ASSERT_TRUE(stopper.ok());
    const TimePoint start = SystemClock().now();
    auto result = run_tool_command(command, "{}", stop);
    stopper->join();
    ASSERT_FALSE(result) << command;
    EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
    EXPECT_LT(SystemClock().now() - start, std::chrono::seconds(15)) << command;
  }
}

// This program ignores them for itself; commands are not made for that.
TEST_F(ToolCommand, PipelinesEndAsInAnyShell) {
  const std::atomic<bool> stop = false;
  auto result = run_tool_command("grep SigIgn /proc/self/status", "{}", stop);
  ASSERT_TRUE(result) << result.error().message;
  const uint64_t ignored = std::stoull(result->substr(result->find(':') + 1), nullptr, 16);
  for (int number : kWriteSignals) EXPECT_EQ(ignored >> (number - 1) & 1, 0u) << number;
}

}  // namespace
}  // namespace potluck
