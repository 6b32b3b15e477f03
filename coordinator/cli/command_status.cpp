// `potluck status`: the pool of the coordinator that runs on this machine.
#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/status_file.h"
#include "engine/base/format_bytes.h"
#include "engine/base/process_identity.h"

namespace potluck {
namespace {

// Where a worker's experts came from.
void print_sources(const nlohmann::json& fetched) {
  std::string line;
  auto add = [&](const std::string& name, uint64_t bytes) {
    if (bytes > 0) line += fmt::format("  {} {}", name, format_bytes(bytes));
  };
  add("coordinator", fetched.value("coordinator_bytes", uint64_t{0}));
  add("own file", fetched.value("file_bytes", uint64_t{0}));
  for (const nlohmann::json& peer : fetched.value("peers", nlohmann::json::array())) {
    add(peer.value("name", std::string("?")), peer.value("bytes", uint64_t{0}));
  }
  if (!line.empty()) fmt::print("       fetched from:{}\n", line);
}

void print_plain(const nlohmann::json& status, bool running, int64_t age_seconds) {
  fmt::print("coordinator {}: {}, model {}\n", status.value("process", 0),
             running ? "running" : fmt::format("ended ({} s ago at the latest)", age_seconds),
             status.value("model", std::string("?")));
  fmt::print("{} of {} units ready, {} workers lost\n", status.value("units_ready", 0),
             status.value("units_assigned", 0), status.value("workers_lost", 0));
  for (const nlohmann::json& worker : status.value("workers", nlohmann::json::array())) {
    fmt::print("  {:>3}  {:<20} {}  {}/{} units  {}\n", worker.value("number", 0),
               worker.value("name", std::string()), worker.value("key", std::string()),
               worker.value("units_ready", 0), worker.value("units_assigned", 0),
               worker.value("software", std::string()));
    print_sources(worker.value("fetched", nlohmann::json::object()));
  }
}

Status show_status(bool json, const Environment& environment) {
  auto status = read_status(environment.storage, home_directory() + "/coordinator");
  if (!status) return status.error();
  // Its number may mean another process by now, or one that was there before the machine started
  // anew.
  std::optional<uint64_t> started = process_start(environment.system, status->value("process", 0));
  bool running = started && *started == status->value("process_start", uint64_t{0});
  (*status)["running"] = running;
  if (json) {
    fmt::print("{}\n", status->dump());
    return {};
  }
  int64_t age =
      environment.clock.unix_seconds() - status->value("written_unix_seconds", int64_t{0});
  print_plain(*status, running, age);
  return {};
}

}  // namespace

Command add_status(CLI::App& app, Environment& environment) {
  auto json = std::make_shared<bool>(false);
  CLI::App* parser = app.add_subcommand("status", "show the pool of this machine's coordinator");
  parser->add_flag("--json", *json, "one JSON object");
  return {parser, [json, &environment] { return show_status(*json, environment); }};
}

}  // namespace potluck
