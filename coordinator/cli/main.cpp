// The `potluck` binary: makes what everything depends on (clock, randomness, files, signals) and
// hands it to one command.
#include <climits>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/stop_signal.h"

namespace potluck {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitWrongUse = 2;

std::string own_path() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "potluck";
}

std::vector<Command> add_commands(CLI::App& app, Environment& environment) {
  return {add_run(app, environment),  add_serve(app, environment),  add_join(app, environment),
          add_eval(app, environment), add_bench(app, environment),  add_tokenize(app, environment),
          add_show(app, environment), add_status(app, environment), add_version(app, environment)};
}

int run_chosen(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (!command.parser->parsed()) continue;
    Status status = command.run();
    if (status) return 0;
    fmt::print(stderr, "potluck: {}\n", status.error().message);
    return status.error().code == ErrorCode::kInvalidArgument ? kExitWrongUse : kExitFailed;
  }
  return kExitWrongUse;
}

int potluck_main(int argc, char** argv) {
  StopSignal stop;
  SystemClock clock;
  SystemEntropy entropy;
  std::unique_ptr<Storage> storage = make_system_storage();
  Environment environment{*storage, clock, entropy, own_path(), stop.requested()};

  CLI::App app("Potluck: old devices together run Mixture-of-Experts models", "potluck");
  app.require_subcommand(1);
  app.set_config("--config", home_directory() + "/potluck.toml", "defaults of flags");
  std::vector<Command> commands = add_commands(app, environment);
  if (argc < 2) {
    fmt::print(stderr, "{}", app.help());
    return kExitWrongUse;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    bool asked_for_help = error.get_exit_code() == 0;
    app.exit(error);
    return asked_for_help ? 0 : kExitWrongUse;
  }
  return run_chosen(commands);
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  return potluck::potluck_main(argc, argv);
}
