// `potluck admit`: let a device in that asks the coordinator of this machine, or list those that
// do.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_control.h"
#include "protocol/pairing_code.h"

namespace potluck {
namespace {

constexpr int kCodeWords = 2;  // "1234 5678"

struct AdmitFlags {
  std::vector<std::string> code;
  bool json = false;
};

Status list_devices(const AdmitFlags& flags, const Environment& environment) {
  auto answer = ask_coordinator({{"verb", "waiting"}});
  if (!answer) return answer.error();
  const nlohmann::json waiting = list_field(*answer, "waiting");
  if (flags.json) {
    environment.out.json({{"waiting", waiting}});
    return {};
  }
  for (const nlohmann::json& device : waiting) {
    environment.out.line(
        fmt::format("{}  {:<20}  {}  waits for {} s", text_field(device, "code", "?"),
                    text_field(device, "name", "?"), text_field(device, "key", "?"),
                    whole_field(device, "waited_seconds")));
  }
  if (waiting.empty()) {
    environment.terminal.notice("no device waits; on the device, run: potluck join");
  } else {
    environment.terminal.notice("admit a device only if it shows the same code itself");
  }
  return {};
}

Status run_admit(const AdmitFlags& flags, const Environment& environment) {
  if (flags.code.empty()) return list_devices(flags, environment);
  const std::string typed = fmt::format("{}", fmt::join(flags.code, " "));
  auto code = read_pairing_code(typed);
  if (!code) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected the eight digits that the device shows, such as 1234-5678, "
                             "found '{}'",
                             terminal_line(typed))};
  }
  auto answer = ask_coordinator({{"verb", "admit"}, {"code", *code}});
  if (!answer) return answer.error();
  const nlohmann::json device = object_field(*answer, "admitted");
  if (flags.json) {
    environment.out.json({{"admitted", device}});
  } else {
    environment.out.line(fmt::format("admitted {} ({})", text_field(device, "name", "?"),
                                     text_field(device, "key", "?")));
  }
  return {};
}

}  // namespace

Command add_admit(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<AdmitFlags>();
  CLI::App* parser =
      add_command(app, "admit", "let a device in that asks this machine's coordinator");
  add_text(parser, "CODE", &flags->code,
           "the code that the device shows; without one, list the devices that wait")
      .expected(0, kCodeWords);
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return run_admit(*flags, environment); }};
}

}  // namespace potluck
