#include "engine/base/ring_permission.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr int kMay = 10, kMayNot = 11, kNoFilter = 12;

// What a process finds that a filter of system calls lets ask for a ring, or does not.
int found_under_filter(uint32_t action) {
  const pid_t child = fork();
  if (child == 0) {
    std::array<sock_filter, 4> filter = {{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_io_uring_setup},
        {BPF_RET | BPF_K, 0, 0, action},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    }};
    const sock_fprog program{filter.size(), filter.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      _exit(kNoFilter);
    }
    _exit(may_ask_for_ring() ? kMay : kMayNot);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(RingPermission, AsksWhereNoFilterIs) {
  if (prctl(PR_GET_SECCOMP) != 0) GTEST_SKIP() << "a filter is in force here";
  EXPECT_TRUE(may_ask_for_ring());
}

TEST(RingPermission, LivesOnWhereAskingEndsAProcess) {
  for (uint32_t action : {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO | 1U}) {
    const int found = found_under_filter(action);
    if (found == kNoFilter) GTEST_SKIP() << "this system takes no filter";
    EXPECT_EQ(found, kMayNot) << action;
  }
}

TEST(RingPermission, AFilterThatLetsItAskIsNoObstacle) {
  const int ring = static_cast<int>(syscall(__NR_io_uring_setup, 1, nullptr));
  if (ring < 0 && errno != EFAULT) GTEST_SKIP() << "this system has no rings";
  EXPECT_EQ(found_under_filter(SECCOMP_RET_ALLOW), kMay);
}

}  // namespace
}  // namespace potluck
