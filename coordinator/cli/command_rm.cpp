// `potluck rm`: removes a model that `potluck pull` fetched.
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/message_input.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/models/model_search.h"
#include "coordinator/models/removal.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

struct RemoveFlags {
  std::string model;
  bool yes = false;
  bool other_programs = false;
  bool json = false;
};

// Potluck's own copy is meant before any other; else whatever has the name, so that the refusal can
// say whose it is.
Result<FoundModel> find_to_remove(const RemoveFlags& flags, const Environment& environment) {
  const std::vector<ModelPlace> places = own_model_places();
  ModelCatalog own = read_catalog(environment.storage, {places.front()});
  auto found = find_in_catalog(own, places, flags.model);
  if (found) return found;
  return find_model(environment.storage, places, flags.model, hub_address());
}

Result<bool> agrees(const Environment& environment) {
  if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
    return Error{ErrorCode::kInvalidArgument, "expected --yes where standard input is no terminal"};
  }
  const auto input = standard_input(environment.terminal);
  auto typed = input->next("remove it? [y/N] ", [&] { return !environment.stop.requested(); });
  if (!typed) return typed.error();
  return *typed && (**typed == "y" || **typed == "yes");
}

Status remove_named(const RemoveFlags& flags, const Environment& environment) {
  auto found = find_to_remove(flags, environment);
  if (!found) return found.error();
  auto removal =
      plan_removal(environment.storage, *found, {store_of_model(*found), flags.other_programs});
  if (!removal) return removal.error();
  const std::vector<std::string> users = users_of(*removal);
  if (!users.empty()) {
    return Error{ErrorCode::kRefused, fmt::format("{}: {} uses it; end that first", found->name,
                                                  fmt::join(users, ", "))};
  }
  if (!flags.yes) {
    environment.terminal.notice(fmt::format("{}: {} in {} files and folders", found->name,
                                            format_bytes(removal->bytes),
                                            removal->files.size() + removal->folders.size()));
    for (const std::string& path : removal->files) environment.terminal.notice("  " + path);
    for (const std::string& path : removal->folders) environment.terminal.notice("  " + path + "/");
    Result<bool> agreed = agrees(environment);
    if (!agreed) return agreed.error();
    if (!*agreed) return environment.terminal.notice("nothing was removed"), Status();
  }
  if (Status removed = remove_model(environment.storage, *removal); !removed) return removed;
  if (flags.json) {
    environment.out.json({{"name", found->name},
                          {"files", removal->files},
                          {"folders", removal->folders},
                          {"freed_bytes", removal->bytes}});
  } else {
    environment.out.line(
        fmt::format("removed {}: {} are free again", found->name, format_bytes(removal->bytes)));
  }
  return {};
}

}  // namespace

Command add_rm(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<RemoveFlags>();
  CLI::App* parser = add_command(app, "rm", "remove a model that was pulled");
  add_text(parser, "MODEL", &flags->model, "a model as potluck list names it").required();
  add_switch(parser, "--yes", &flags->yes, "do not ask");
  add_switch(parser, "--other-programs", &flags->other_programs,
             "also a model in the cache of another program, or one that Potluck did not fetch");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return remove_named(*flags, environment); }};
}

}  // namespace potluck
