#include "coordinator/cli/worker_status.h"

#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>

#include "coordinator/cli/json_text.h"
#include "coordinator/cli/live_screen.h"
#include "coordinator/cli/worker_json.h"
#include "coordinator/cli/worker_screen.h"
#include "protocol/control_socket.h"

namespace potluck {
namespace {

constexpr Duration kWorkerPatience = std::chrono::seconds(2);

Result<nlohmann::json> ask_worker(const std::string& store) {
  auto text = ask_control(store, json_text({{"verb", "status"}}), kWorkerPatience);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("no `potluck join` runs on this machine with the store {}", store)};
  }
  if (!text) return text.error();
  auto answer = read_json(*text);
  if (!answer) return answer.error().in("the answer of `potluck join`");
  if (!answer->is_object() || !answer->contains("worker")) {
    return Error{ErrorCode::kUnsupported, "the `potluck join` that runs is too old to tell this"};
  }
  return answer;
}

}  // namespace

Status show_worker(const WorkerStatusFlags& flags, const Environment& environment) {
  if (flags.json) {
    auto answer = ask_worker(flags.store);
    if (!answer) return answer.error();
    nlohmann::json report = object_field(*answer, "worker");
    report["leaving"] = (*answer)["leaving"];
    environment.out.json(report);
    return {};
  }
  std::optional<WorkerReport> before;
  LiveView view;
  view.draw = [&](ScreenSize size, const TerminalStyle& style) -> Result<std::string> {
    auto answer = ask_worker(flags.store);
    if (!answer) return answer.error();
    WorkerReport report = worker_report_of_json(object_field(*answer, "worker"));
    const auto leaving = answer->find("leaving");
    const bool leaves = leaving != answer->end() && *leaving == true;
    std::string text = draw_worker(report, before, leaves, size, style);
    before = std::move(report);
    return text;
  };
  if (flags.watch) return show_live(view, environment);
  auto once = view.draw({environment.out.is_terminal() ? terminal_size().width : kPlainWidth, 0},
                        own_terminal_style(environment.out.is_terminal()));
  if (!once) return once.error();
  environment.out.page(*once);
  return {};
}

}  // namespace potluck
