// `potluck leave`: the worker of this machine hands over what it holds, and ends.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/directories.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "protocol/control_socket.h"

namespace potluck {
namespace {

constexpr Duration kAskPatience = std::chrono::seconds(10);
constexpr Duration kLookInterval = std::chrono::milliseconds(100);

struct LeaveFlags {
  std::string store;
  bool json = false;
};

Status leave(const LeaveFlags& flags, const Environment& environment) {
  const std::string store = flags.store.empty() ? home_directory() + "/worker" : flags.store;
  const nlohmann::json question = {{"verb", "leave"}};
  auto answer = ask_control(store, json_text(question), kAskPatience);
  if (!answer && answer.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("no `{} join` runs on this machine with the store {}",
                             environment.name, store)};
  }
  if (!answer) return answer.error();
  environment.terminal.notice("the worker hands over what it holds and then ends");
  // It bounds that itself (join --leave-timeout).
  StopSignal::Watch watch(environment.stop);
  while (!environment.stop.requested()) {
    auto still = ask_control(store, json_text({{"verb", "state"}}), kAskPatience);
    if (!still && still.error().code == ErrorCode::kNotFound) {
      if (flags.json) environment.out.json({{"left", true}});
      return {};
    }
    environment.stop.wait(kLookInterval);
  }
  return {};
}

}  // namespace

Command add_leave(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<LeaveFlags>();
  CLI::App* parser =
      add_command(app, "leave", "end this machine's worker after others have what it holds");
  add_text(parser, "--store", &flags->store,
           "the worker's directory (default: ~/.local/share/potluck/worker)")
      .envname("POTLUCK_STORE");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return leave(*flags, environment); }};
}

}  // namespace potluck
