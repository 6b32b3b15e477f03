#include "coordinator/cli/tool_command.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator/cli/standard_streams.h"
#include "engine/base/bytes.h"

namespace potluck {
namespace {

constexpr size_t kLongestResult = kMiB;
constexpr int kTurnMilliseconds = 100;

Error system_error(const std::string& what) {
  return {ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno))};
}

Error stopped() {
  return {ErrorCode::kCancelled, "the tool command was stopped"};
}

// Both ends of a pipe, closed with the object.
class Pipe {
 public:
  // O_CLOEXEC: another process that is started meanwhile would inherit the ends, and then the end
  // of input never comes.
  Pipe() { good_ = pipe2(ends_.data(), O_CLOEXEC) == 0; }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  bool good() const { return good_; }
  int end(size_t which) const { return ends_[which]; }
  void close_end(size_t which) {
    if (ends_[which] >= 0) close(ends_[which]);
    ends_[which] = -1;
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
  bool good_ = false;
};

// The shell in a process group of its own, so that all of it can be ended.
class Child {
 public:
  Child(const std::string& command, const Pipe& input, const Pipe& output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input.end(0), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output.end(1), STDOUT_FILENO);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);  // this process blocks what it waits for
    posix_spawnattr_setpgroup(&attributes, 0);
    // A shell cannot take a signal back that it found ignored, and pipelines end by these: `yes`
    // before `head` would say that its output is broken, or never end.
    sigset_t defaults;
    sigemptyset(&defaults);
    for (int number : kWriteSignals) sigaddset(&defaults, number);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    const char* arguments[] = {"sh", "-c", command.c_str(), nullptr};
    const int failed = posix_spawn(&process_, "/bin/sh", &actions, &attributes,
                                   const_cast<char* const*>(arguments), environ);
    if (failed != 0) process_ = -1;
    errno = failed;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Child() {
    if (process_ < 0) return;
    kill(-process_, SIGKILL);
    (void)look(0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool started() const { return process_ >= 0; }
  // Its status as waitpid() gives it; nothing if `stop` came first.
  std::optional<int> wait(const std::atomic<bool>& stop) {
    // Most have ended by now. A command may also close its output and go on, for as long as it
    // likes.
    for (int pause = 1; !stop; pause = std::min(2 * pause, kTurnMilliseconds)) {
      if (std::optional<int> status = look(WNOHANG)) return status;
      poll(nullptr, 0, pause);
    }
    return std::nullopt;
  }

 private:
  // Its status if it has ended, which can be asked for once.
  std::optional<int> look(int options) {
    int status = 0;
    pid_t ended = 0;
    do {
      ended = waitpid(process_, &status, options);
    } while (ended < 0 && errno == EINTR);
    if (ended == 0) return std::nullopt;
    process_ = -1;
    return status;
  }

  pid_t process_ = -1;
};

void write_some(Pipe* input, std::string_view* rest) {
  const ssize_t written = write(input->end(1), rest->data(), rest->size());
  if (written > 0) rest->remove_prefix(static_cast<size_t>(written));
  // A command that does not read what it is told may still answer.
  const bool ended = written < 0 && errno != EAGAIN && errno != EINTR;
  if (rest->empty() || ended) input->close_end(1);
}

// False at the end of what the command prints.
bool read_some(const Pipe& output, std::string* result) {
  std::array<char, 4096> chunk;
  const ssize_t got = read(output.end(0), chunk.data(), chunk.size());
  if (got > 0) result->append(chunk.data(), static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

// Feeds and reads at the same time: neither side may wait for the other for ever.
Status exchange(Pipe* input, const Pipe& output, std::string_view text, std::string* result,
                const std::atomic<bool>& stop) {
  fcntl(input->end(1), F_SETFL, O_NONBLOCK);
  while (true) {
    std::array<pollfd, 2> ends = {pollfd{output.end(0), POLLIN, 0},
                                  pollfd{input->end(1), POLLOUT, 0}};
    // Looked at once a turn, since poll() is not woken: StopSignal's thread takes the signal.
    if (stop) return stopped();
    if (poll(ends.data(), ends.size(), kTurnMilliseconds) <= 0) continue;
    if (ends[1].revents != 0) write_some(input, &text);
    if (ends[0].revents != 0 && !read_some(output, result)) return {};
    if (result->size() > kLongestResult) {
      return Error{ErrorCode::kLimit, "the tool command prints more than 1 MiB"};
    }
  }
}

}  // namespace

Result<std::string> run_tool_command(const std::string& command, const std::string& input,
                                     const std::atomic<bool>& stop) {
  Pipe to_child;
  Pipe from_child;
  if (!to_child.good() || !from_child.good()) return system_error("cannot run the tool command");
  Child child(command, to_child, from_child);
  if (!child.started()) return system_error("cannot run the tool command");
  to_child.close_end(0);
  from_child.close_end(1);
  std::string result;
  Status exchanged = exchange(&to_child, from_child, input + "\n", &result, stop);
  if (!exchanged) return exchanged.error();
  const std::optional<int> status = child.wait(stop);
  if (!status) return stopped();
  if (result.ends_with('\n')) result.pop_back();
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return result;
  const int code = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
  return fmt::format("error: the tool failed with exit code {}{}{}", code,
                     result.empty() ? "" : ": ", result);
}

}  // namespace potluck
