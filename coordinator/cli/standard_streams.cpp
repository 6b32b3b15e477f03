#include "coordinator/cli/standard_streams.h"

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace potluck {
namespace {

// Opened for reading only, so that writing what is meant for people or files fails and is noticed
// instead of vanishing. Without /dev (in a bare chroot) the root directory does the same.
int open_nothing() {
  int null = ::open("/dev/null", O_RDONLY);
  return null >= 0 ? null : ::open("/", O_RDONLY | O_DIRECTORY);
}

}  // namespace

void reserve_standard_descriptors() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free descriptor is the one that was missing: those below it are open by now.
    // Without a word: there may be no standard error.
    if (open_nothing() < 0) _exit(1);
  }
}

void let_writes_fail() {
  for (int number : kWriteSignals) signal(number, SIG_IGN);
}

int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // The other end of a terminal or pipe may have made it non-blocking.
      pollfd room{descriptor, POLLOUT, 0};
      if (poll(&room, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace potluck
