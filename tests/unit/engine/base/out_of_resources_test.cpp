// What happens when the system refuses memory or threads. The limits are real, and hold in a child
// process each.
#include "engine/base/out_of_resources.h"

#include <functional>
#include <mutex>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/block_reader.h"
#include "engine/base/buffer.h"
#include "engine/base/thread_pool.h"
#include "tests/support/sanitizers.h"

namespace potluck {
namespace {

using ::testing::HasSubstr;

// The exit code of a child that may take `bytes` of address space more than it has and runs `body`.
int in_child(uint64_t bytes, const std::function<bool()>& body) {
  pid_t child = fork();
  if (child == 0) {
    uint64_t pages = 0;
    FILE* status = std::fopen("/proc/self/statm", "r");
    if (status == nullptr || std::fscanf(status, "%lu", &pages) != 1) _exit(3);
    std::fclose(status);
    rlimit limit{pages * 4096 + bytes, pages * 4096 + bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(3);
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(OutOfResources, NamesWhatMemoryWasFor) {
  for (size_t size : {size_t{1} << 60, SIZE_MAX - 5000, SIZE_MAX}) {
    Status status = guard_memory("model.gguf", [size]() -> Status {
      Buffer buffer(size, "tensor output.weight");
      return {};
    });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kLimit);
    EXPECT_THAT(status.error().message,
                HasSubstr("model.gguf: no memory for tensor output.weight"));
  }
}

TEST(OutOfResources, GuardsVectorsToo) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "a sanitizer ends the program at such a size";
  for (size_t size : {size_t{1} << 50, SIZE_MAX / 2}) {
    Status status = guard_memory("x", [size]() -> Status {
      std::vector<char> values(size);
      return values.empty() ? Status() : Status();
    });
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr("x: "));
  }
}

TEST(OutOfResources, PassesResultsThrough) {
  EXPECT_TRUE(guard_memory("x", [] { return Status(); }));
  Status status = guard_memory("x", [] { return Status(Error{ErrorCode::kIo, "as it was"}); });
  EXPECT_EQ(status.error().message, "as it was");
}

TEST(OutOfResources, BuffersOfEverySizeFailWithoutAnAbort) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  EXPECT_EQ(in_child(64 << 20,
                     [] {
                       std::vector<Buffer> kept;
                       Status status = guard_memory("x", [&]() -> Status {
                         for (size_t size = 1000;; size = size * 3 / 2)
                           kept.emplace_back(size, "a slab");
                       });
                       return !status && kept.size() > 10;
                     }),
            0);
}

TEST(OutOfResources, APoolWorksWithTheThreadsItGets) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  EXPECT_EQ(in_child(40 << 20,
                     [] {  // room for a few stacks
                       ThreadPool pool(64);
                       std::atomic<int> tasks{0};
                       pool.run(1000, [&](size_t, int) { ++tasks; });
                       return pool.threads() >= 1 && pool.threads() < 64 && !pool.started() &&
                              tasks == 1000;
                     }),
            0);
}

TEST(OutOfResources, ReadersWithoutThreadsAreRefused) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  for (ReaderChoice choice : {ReaderChoice::kAuto, ReaderChoice::kThreads, ReaderChoice::kUring}) {
    EXPECT_EQ(in_child(2 << 20,
                       [choice] {
                         SystemClock clock;
                         // Stacks that earlier threads have left are taken first.
                         auto* others = new std::vector<std::thread>;
                         for (;;) {
                           Result<std::thread> thread = start_thread([] { pause(); });
                           if (!thread) break;
                           others->push_back(std::move(*thread));
                         }
                         return !open_block_reader(choice, 8, clock);
                       }),
              0);
  }
}

TEST(OutOfResources, ThreadsCanBeAskedForBefore) {
  EXPECT_TRUE(check_threads("x", 3));
  EXPECT_TRUE(check_threads("x", 0));
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  EXPECT_EQ(in_child(40 << 20, [] { return !check_threads("x", 64) && check_threads("x", 1); }), 0);
}

TEST(OutOfResources, WhatNothingCaughtEndsWithExitCodeOne) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  EXPECT_EQ(in_child(64 << 20,
                     [] {
                       prepare_for_scarcity();
                       std::thread([] { std::vector<char> values(size_t{1} << 40, 'x'); }).join();
                       return true;
                     }),
            1);
  EXPECT_EQ(in_child(64 << 20,
                     [] {
                       prepare_for_scarcity();
                       std::thread([] {
                         auto* threads = new std::vector<std::thread>;
                         for (;;) threads->emplace_back([] { pause(); });
                       }).join();
                       return true;
                     }),
            1);
}

// An exception in a helper reaches the thread that called, after all others have let go.
TEST(OutOfResources, APoolHandsExceptionsToItsCaller) {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> ours(1000, 0);
    Status status = guard_memory("job", [&]() -> Status {
      pool.run(ours.size(), [&](size_t task, int) {
        ours[task] = 1;
        if (task == static_cast<size_t>(round)) throw_out_of_memory(5, "the test");
      });
      return {};
    });
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr("job: no memory for the test"));
  }
  std::atomic<int> tasks{0};
  pool.run(1000, [&](size_t, int) { ++tasks; });
  EXPECT_EQ(tasks, 1000);
}

// One thread or one task run in the caller's thread alone.
TEST(OutOfResources, APoolOfOneThrowsAsWell) {
  ThreadPool pool(1);
  EXPECT_FALSE(guard_memory("job", [&]() -> Status {
    pool.run(3, [](size_t, int) { throw_out_of_memory(5, "the test"); });
    return {};
  }));
}

}  // namespace
}  // namespace potluck
