#include "engine/base/ring_permission.h"

#include <cerrno>

#include <liburing.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace potluck {
namespace {

// In the child, where other threads may have held any lock: system calls only.
[[noreturn]] void ask_and_end() {
  (void)prctl(PR_SET_DUMPABLE, 0);  // its end is no crash to keep
  io_uring_params parameters{};
  const long ring = syscall(__NR_io_uring_setup, 1, &parameters);
  _exit(ring < 0 ? 1 : 0);
}

}  // namespace

bool may_ask_for_ring() {
  if (prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER) return true;
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) ask_and_end();
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace potluck
