#include "coordinator/runtime/local_workers.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/limits.h"

extern char** environ;

namespace potluck {
namespace {

constexpr int kStopChecks = 100;
constexpr int kStopCheckMillis = 10;

// Arguments and environment as exec() wants them. Built before fork(): the child of a process with
// threads may not allocate.
class ExecStrings {
 public:
  explicit ExecStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
    for (std::string& text : strings_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
  }
  char* const* data() const { return pointers_.data(); }

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
};

std::vector<std::string> environment_with(const std::string& variable, const std::string& value) {
  std::vector<std::string> result;
  std::string prefix = variable + "=";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    // Variables like POTLUCK_RAM are meant for this command; its children are told by flags.
    if (std::strncmp(*entry, "POTLUCK_", 8) != 0) result.emplace_back(*entry);
  }
  result.push_back(prefix + value);
  return result;
}

// Between fork() and exec(): system calls only.
[[noreturn]] void become_worker(const char* program, const ExecStrings& arguments,
                                const ExecStrings& environment, pid_t parent) {
  // The kernel sends it when the *thread* that forked ends (prctl(2)): workers must be started by a
  // thread that lives as long as the process, as the main thread does.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // the parent died before prctl()
  setpgid(0, 0);                      // Ctrl-C is for the parent, which ends us in order
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);  // the parent blocks what it waits for
  int null = ::open("/dev/null", O_RDWR);
  // Standard output carries the result of the command alone. Standard error stays: a worker's
  // errors have to reach the user.
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  execve(program, arguments.data(), environment.data());
  _exit(127);
}

// Once it has, its number may be another process's. Where SIGCHLD is ignored the kernel keeps no
// child for us and answers that there is none.
bool has_ended(pid_t child) {
  pid_t found = waitpid(child, nullptr, WNOHANG);
  return found == child || (found < 0 && errno == ECHILD);
}

}  // namespace

LocalWorkers::~LocalWorkers() {
  stop();
}

Result<std::string> LocalWorkers::free_store() {
  for (; next_store_ <= 2 * limits::kWorkers; ++next_store_) {
    std::string directory = fmt::format("{}/worker-{}", options_.store_directory, next_store_);
    if (Status made = storage_.make_directories(directory); !made) return made.error();
    // Only asked: the lock ends with this statement, and the worker takes it itself. If another
    // command comes in between, one of the two workers ends with an error.
    if (storage_.lock(directory + "/lock").ok()) {
      ++next_store_;
      return directory;
    }
  }
  return Error{ErrorCode::kLimit, fmt::format("{}: every worker store is in use by another process",
                                              options_.store_directory)};
}

std::vector<std::string> LocalWorkers::command_for(const std::string& store) const {
  std::string number = std::to_string(children_.size() + 1);
  std::vector<std::string> command;
  for (std::string word : options_.launcher) {
    size_t place = word.find("{}");
    if (place != std::string::npos) word.replace(place, 2, number);
    command.push_back(std::move(word));
  }
  // --no-config: its defaults are for devices that join by themselves. --ignore-health: the user of
  // this device waits for an answer. --leave-timeout: their coordinator ends first.
  command.insert(
      command.end(),
      {options_.program, "--no-config", "join", "--quiet", "--no-remember", "--ignore-health",
       "--leave-timeout", "0", "--store", store, "--ram", std::to_string(options_.ram_bytes),
       "--threads", std::to_string(options_.threads), "--name", "local-" + number});
  if (!options_.isa.empty()) command.insert(command.end(), {"--isa", options_.isa});
  if (!options_.model_path.empty()) {
    command.insert(command.end(), {"--model", options_.model_path});
  }
  const std::vector<std::string>& more = options_.more_arguments;
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

Status LocalWorkers::start(const std::string& token) {
  Result<std::string> store = free_store();
  if (!store) return store.error();
  std::vector<std::string> command = command_for(*store);
  const std::string program = command.front();
  ExecStrings arguments(std::move(command));
  // The environment of a process is its user's alone; a command line can be read by all users
  // (proc(5)).
  ExecStrings environment(environment_with("POTLUCK_TOKEN", token));
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) {
    return Error{ErrorCode::kIo,
                 fmt::format("cannot start a worker process: {}", std::strerror(errno))};
  }
  if (child == 0) become_worker(program.c_str(), arguments, environment, parent);
  children_.push_back({child, true});
  return {};
}

size_t LocalWorkers::running() {
  size_t count = 0;
  for (Child& child : children_) {
    if (child.running && has_ended(child.process)) child.running = false;
    count += child.running ? 1 : 0;
  }
  return count;
}

std::vector<pid_t> LocalWorkers::process_ids() const {
  std::vector<pid_t> ids;
  for (const Child& child : children_) ids.push_back(child.process);
  return ids;
}

void LocalWorkers::stop() {
  if (running() == 0) return;
  for (const Child& child : children_) {
    if (child.running) kill(child.process, SIGTERM);
  }
  // A moment in which they say goodbye and close their stores.
  for (int check = 0; check < kStopChecks && running() > 0; ++check) {
    poll(nullptr, 0, kStopCheckMillis);
  }
  for (Child& child : children_) {
    if (!child.running) continue;
    kill(child.process, SIGKILL);
    waitpid(child.process, nullptr, 0);
    child.running = false;
  }
}

}  // namespace potluck
