#include "coordinator/runtime/local_workers.h"

#include <csignal>

#include <gtest/gtest.h>
#include <poll.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

// Its parent's choice is not the process's own: a shell or a supervisor may leave SIGCHLD ignored.
class LocalWorkersTest : public testing::TestWithParam<bool> {
 protected:
  LocalWorkersTest() { std::signal(SIGCHLD, GetParam() ? SIG_IGN : SIG_DFL); }
  ~LocalWorkersTest() override { std::signal(SIGCHLD, SIG_DFL); }

  LocalWorkersOptions running(const char* program) {
    LocalWorkersOptions options;
    options.program = program;
    options.store_directory = "stores";
    return options;
  }

  MemoryStorage storage;
};

TEST_P(LocalWorkersTest, NoticesAWorkerThatHasEnded) {
  LocalWorkers workers(running("/bin/true"), storage);
  ASSERT_TRUE(workers.start("token").ok());
  EXPECT_EQ(workers.started(), 1u);
  for (int look = 0; look < 1000 && workers.running() > 0; ++look) poll(nullptr, 0, 10);
  EXPECT_EQ(workers.running(), 0u);
}

// The launcher is started in a worker's place, with its command line: here a shell that waits if
// all is as it should be.
TEST_P(LocalWorkersTest, StartsWorkersThroughALauncher) {
  LocalWorkersOptions options = running("/bin/true");
  options.launcher = {"/bin/sh", "-c",
                      "[ \"$0 $1 $2 $3\" = 'host2 /bin/true --no-config join' ] && exec sleep 60",
                      "host{}"};
  LocalWorkers workers(options, storage);
  ASSERT_TRUE(workers.start("token").ok());  // is host1, and ends
  for (int look = 0; look < 1000 && workers.running() > 0; ++look) poll(nullptr, 0, 10);
  EXPECT_EQ(workers.running(), 0u);
  ASSERT_TRUE(workers.start("token").ok());
  poll(nullptr, 0, 200);
  EXPECT_EQ(workers.running(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Inherited, LocalWorkersTest, testing::Bool());

}  // namespace
}  // namespace potluck
