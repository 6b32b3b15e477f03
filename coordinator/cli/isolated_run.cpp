#include "coordinator/cli/isolated_run.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace potluck {
namespace {

Error system_failure(const char* what) {
  return {ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno))};
}

void write_text_to(int descriptor, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    ssize_t written = write(descriptor, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    done += static_cast<size_t>(written);
  }
}

std::string read_text_from(int descriptor) {
  std::string text;
  char buffer[16 * 1024];
  while (true) {
    ssize_t count = read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
}

std::string fatal_end(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return fmt::format("ended by SIG{}", name == nullptr ? "?" : name);
  }
  int code = WEXITSTATUS(status);
  return code == 0 ? "" : fmt::format("ended with the exit code {}", code);
}

}  // namespace

// Destructors of the parent's objects must not run in the child, and it must not outlive its
// parent.
Result<IsolatedEnd> run_isolated(const std::function<std::string()>& function) {
  int ends[2];
  if (pipe(ends) != 0) return system_failure("pipe");
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) {
    Error failed = system_failure("fork");
    close(ends[0]);
    close(ends[1]);
    return failed;
  }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    close(ends[0]);
    write_text_to(ends[1], function());
    _exit(0);
  }
  close(ends[1]);
  IsolatedEnd end{read_text_from(ends[0])};
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  end.fatal = fatal_end(status);
  return end;
}

}  // namespace potluck
