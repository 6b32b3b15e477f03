// The `potluck` binary: makes what everything depends on (clock, randomness, files, signals) and
// hands it to one command.
#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/stop_signal.h"
#include "engine/base/descriptor_limit.h"

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

// Flags win over environment variables, these over the configuration file. The parser would let the
// file win over the environment, so variables become flags here.
std::vector<std::string> with_environment(const CLI::App& command, int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_envname().empty() || option->get_lnames().empty()) continue;
    const char* value = std::getenv(option->get_envname().c_str());
    if (value == nullptr || *value == 0) continue;
    std::string flag = "--" + option->get_lnames().front();
    bool given = std::any_of(arguments.begin(), arguments.end(), [&flag](const std::string& text) {
      return text == flag || text.starts_with(flag + "=");
    });
    if (!given) arguments.push_back(flag + "=" + value);
  }
  return arguments;
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
  raise_descriptor_limit();
  StopSignal stop;
  SystemClock clock;
  SystemEntropy entropy;
  std::unique_ptr<Storage> storage = make_system_storage();
  Environment environment{*storage,
                          clock,
                          entropy,
                          system_files(),
                          own_path(),
                          stop.requested(),
                          [&stop] { stop.rearm(); }};

  CLI::App app("Potluck: old devices together run Mixture-of-Experts models", "potluck");
  app.require_subcommand(1);
  app.set_config("--config", home_directory() + "/potluck.toml", "defaults of flags");
  std::vector<Command> commands = add_commands(app, environment);
  if (argc < 2) {
    fmt::print(stderr, "{}", app.help());
    return kExitWrongUse;
  }
  auto named = std::find_if(commands.begin(), commands.end(), [argv](const Command& command) {
    return command.parser->get_name() == argv[1];
  });
  if (named == commands.end() && argv[1][0] != '-') {
    fmt::print(stderr, "potluck: unknown command '{}'; without arguments, potluck lists them\n",
               argv[1]);
    return kExitWrongUse;
  }
  try {
    std::vector<std::string> arguments =
        with_environment(named != commands.end() ? *named->parser : app, argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as the parser wants them
    app.parse(std::move(arguments));
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
