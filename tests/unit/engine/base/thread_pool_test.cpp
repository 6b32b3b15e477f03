#include "engine/base/thread_pool.h"

#include <atomic>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/hash.h"

namespace potluck {
namespace {

class ThreadPools : public ::testing::TestWithParam<int> {};

// Plain integers, written by the tasks and read by the caller: the thread sanitizer sees here
// whether run() orders the one before the other.
TEST_P(ThreadPools, RunEveryTaskExactlyOnceInManyShortJobs) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.threads(), GetParam());
  for (size_t job = 0; job < 3000; ++job) {
    size_t tasks = job % 19;
    std::vector<int> runs(tasks, 0);
    std::vector<int> threads(tasks, -1);
    pool.run(tasks, [&](size_t task, int thread) {
      ++runs[task];
      threads[task] = thread;
    });
    ASSERT_EQ(runs, std::vector<int>(tasks, 1)) << "job " << job;
    for (int thread : threads) {
      ASSERT_GE(thread, 0);
      ASSERT_LT(thread, pool.threads());
    }
  }
}

// A thread index belongs to one thread at a time, so per-thread scratch memory needs no lock.
TEST_P(ThreadPools, GiveEachThreadItsOwnIndex) {
  ThreadPool pool(GetParam());
  std::vector<uint64_t> sums(static_cast<size_t>(GetParam()), 0);
  constexpr size_t kTasks = 20000;
  pool.run(kTasks, [&](size_t task, int thread) { sums[static_cast<size_t>(thread)] += task; });
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), uint64_t{0}), kTasks * (kTasks - 1) / 2);
}

// Between the jobs the caller works for longer than the helpers spin, so that they fall asleep.
TEST_P(ThreadPools, WakeUpAfterAPause) {
  ThreadPool pool(GetParam());
  ByteVector ballast(kMiB);
  for (int job = 0; job < 20; ++job) {
    ballast[0] = static_cast<std::byte>(sha256(ballast).bytes[0]);
    std::atomic<int> runs{0};
    pool.run(8, [&](size_t, int) { runs.fetch_add(1, std::memory_order_relaxed); });
    ASSERT_EQ(runs.load(), 8);
  }
}

// One slow task must not be left behind: here the caller may be done long before a helper is.
TEST_P(ThreadPools, WaitForTheSlowestTask) {
  ThreadPool pool(GetParam());
  ByteVector ballast(kMiB);
  std::vector<Digest> digests(5);
  pool.run(digests.size(), [&](size_t task, int) {
    digests[task] = sha256(ByteSpan(ballast).first(task == 1 ? ballast.size() : 1));
  });
  EXPECT_EQ(digests[1], sha256(ballast));
  for (size_t task : {0, 2, 3, 4}) EXPECT_EQ(digests[task], digests[0]);
}

TEST_P(ThreadPools, ComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(GetParam());
    if (i % 2 == 0) continue;  // unused pools end as well
    std::vector<int> runs(4, 0);
    pool.run(runs.size(), [&](size_t task, int) { ++runs[task]; });
    ASSERT_EQ(runs, std::vector<int>(4, 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPools, ::testing::Values(1, 2, 3, 4, 16));

TEST(ThreadPool, PoolsDoNotDisturbEachOther) {
  ThreadPool outer(2);
  std::vector<int> runs(40, 0);
  outer.run(4, [&](size_t block, int) {
    ThreadPool inner(2);
    inner.run(10, [&](size_t task, int) { ++runs[block * 10 + task]; });
  });
  EXPECT_EQ(runs, std::vector<int>(40, 1));
}

}  // namespace
}  // namespace potluck
