// `potluck completion`: the script by which a shell completes this program's command line.
#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/completion_script.h"
#include "coordinator/cli/flags.h"

namespace potluck {
namespace {

Status print_completion(CLI::App& app, const std::string& shell, const Environment& environment) {
  const Catalog catalog = describe_program(app);
  if (shell == "bash") environment.out.page(bash_completion(catalog));
  if (shell == "zsh") environment.out.page(zsh_completion(catalog));
  if (shell == "fish") environment.out.page(fish_completion(catalog));
  return {};
}

}  // namespace

Command add_completion(CLI::App& app, Environment& environment) {
  auto shell = std::make_shared<std::string>();
  CLI::App* parser = add_command(app, "completion",
                                 "print a script that completes this command "
                                 "line in a shell");
  add_choice(
      parser, "SHELL", shell.get(), {"bash", "zsh", "fish"},
      fmt::format("for which shell, such as: source <({} completion bash)", environment.name))
      .required();
  return {parser,
          [shell, &app, &environment] { return print_completion(app, *shell, environment); }};
}

}  // namespace potluck
