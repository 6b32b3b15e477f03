// `potluck man`: the manual pages, as their source.
#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/manual_page.h"
#include "coordinator/cli/nearest_name.h"
#include "engine/base/printable.h"

namespace potluck {
namespace {

struct ManFlags {
  std::string command;
  std::string directory;
};

const ManualEdition& own_edition() {
  static const ManualEdition kEdition{POTLUCK_VERSION, POTLUCK_DATE};
  return kEdition;
}

Status write_pages(const Catalog& catalog, const std::string& directory,
                   const Environment& environment) {
  Storage& storage = environment.storage;
  if (Status made = storage.make_directories(directory); !made) return made;
  auto write = [&](const std::string& name, const std::string& page) {
    return storage.write_atomic(fmt::format("{}/{}.1", directory, name), as_bytes(page));
  };
  if (Status done = write(catalog.program, program_page(catalog, own_edition())); !done)
    return done;
  for (const CatalogCommand& command : catalog.commands) {
    Status done =
        write(catalog.program + "-" + command.name, command_page(catalog, command, own_edition()));
    if (!done) return done;
  }
  environment.terminal.notice(
      fmt::format("{} pages written to {}", catalog.commands.size() + 1, directory));
  return {};
}

Status print_page(CLI::App& app, const ManFlags& flags, const Environment& environment) {
  const Catalog catalog = describe_program(app);
  if (!flags.directory.empty()) return write_pages(catalog, flags.directory, environment);
  if (flags.command.empty()) {
    environment.out.page(program_page(catalog, own_edition()));
    return {};
  }
  std::vector<std::string> names;
  for (const CatalogCommand& command : catalog.commands) {
    names.push_back(command.name);
    if (command.name != flags.command) continue;
    environment.out.page(command_page(catalog, command, own_edition()));
    return {};
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("man: no such command '{}'{}", printable(flags.command),
                           suggestion(flags.command, names))};
}

}  // namespace

Command add_man(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<ManFlags>();
  CLI::App* parser = add_command(
      app, "man", fmt::format("print a manual page: {} man version | man -l -", environment.name));
  add_text(parser, "COMMAND", &flags->command,
           "the command it is about (default: the program as a whole)");
  add_text(parser, "--directory", &flags->directory,
           "write all pages into this directory instead, such as ~/.local/share/man/man1");
  return {parser, [flags, &app, &environment] { return print_page(app, *flags, environment); }};
}

}  // namespace potluck
