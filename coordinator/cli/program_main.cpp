#include "coordinator/cli/program_main.h"

#include <algorithm>
#include <climits>
#include <csignal>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/standard_streams.h"
#include "coordinator/cli/stop_signal.h"
#include "engine/base/descriptor_limit.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

constexpr int kExitWrongUse = 2;
constexpr int kExitBrokenPipe = 128 + SIGPIPE;  // what shells show for filters that end like this

// Local workers are started by it. argv[0] may be relative to another directory, or anything at
// all.
std::string own_path() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "potluck";
}

// Only errors for the ones that ask for quiet.
bool is_quiet(const CLI::App& parser) {
  return is_switched_on(parser, "--quiet");
}

// Who can be asked: a person who sees what is written and can type.
bool someone_is_there() {
  return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

int run_command(const Command& command, const Environment& environment) {
  Output& out = environment.out;
  const std::string what = command.parser == nullptr ? "help" : name_of(*command.parser);
  Status done = guard_memory(what, command.run);
  // A result that did not arrive is a failure, even if the command did all it had to.
  Status written = out.finish();
  // Without a message, as filters end: in `potluck .. | head` nothing went wrong.
  if (done && out.reader_gone()) return kExitBrokenPipe;
  if (!done && done.error().code == ErrorCode::kCancelled) return environment.stop.exit_code();
  const Status& status = done ? written : done;
  if (status) return 0;
  environment.terminal.error(environment.name + ": " + status.error().message);
  return status.error().code == ErrorCode::kInvalidArgument ? kExitWrongUse : environment.failed;
}

}  // namespace

int program_main(int argc, char** argv, const ProgramMaker& make) {
  // Before anything else, and in this order: what fails from here on fails with a message; then
  // descriptors 0 to 2 are there before any file could get their numbers; the limit of descriptors
  // changes, and signals are blocked, before there are other threads.
  prepare_for_scarcity();
  reserve_standard_descriptors();
  let_writes_fail();
  // The program that started us may have left it ignored, which exec() keeps: then no end of a
  // child can be waited for (waitpid(2)).
  (void)std::signal(SIGCHLD, SIG_DFL);
  raise_descriptor_limit();
  StopSignal stop;
  SystemClock clock;
  SystemEntropy entropy;
  std::unique_ptr<Storage> storage = make_system_storage();
  Output out(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1);
  Terminal terminal(clock);
  Environment environment{*storage, clock,      entropy, system_files(),
                          out,      own_path(), stop,    terminal};
  Program program = make(environment);
  environment.name = program.name;
  CommandLineParser parser(environment, std::move(program));
  CommandLineInput input{std::vector<std::string>(argv + std::min(argc, 1), argv + argc),
                         own_variables(),
                         fmt::format("{}/{}.toml", own_directories().config, environment.name)};
  if (input.arguments.empty()) {
    if (!parser.program().ask || !someone_is_there()) {
      terminal.text(parser.help());
      return kExitWrongUse;
    }
    auto asked = parser.program().ask();
    if (!asked) return stop.requested() ? stop.exit_code() : kExitWrongUse;
    input.arguments = std::move(*asked);
  }
  Result<CommandLine> line = parser.parse(input, *storage);
  if (!line) {
    terminal.error(environment.name + ": " + line.error().message);
    return kExitWrongUse;
  }
  if (line->command == nullptr) {
    const Command help{nullptr, [&] {
                         out.page(line->help);
                         return Status();
                       }};
    return run_command(help, environment);
  }
  const CLI::App& chosen = *line->command->parser;
  terminal.configure(given_log_flags(chosen), is_quiet(chosen));
  for (const std::string& notice : line->notices) terminal.notice(notice);
  return run_command(*line->command, environment);
}

}  // namespace potluck
