// `potluck status`: the pool of the coordinator that runs on this machine.
#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/status_file.h"
#include "engine/base/format_bytes.h"
#include "engine/base/process_identity.h"

namespace potluck {
namespace {

// Where a worker's experts came from.
void print_sources(const nlohmann::json& fetched, Output& out) {
  std::string line;
  auto add = [&](const std::string& name, int64_t bytes) {
    if (bytes > 0) line += fmt::format("  {} {}", name, format_bytes(static_cast<uint64_t>(bytes)));
  };
  add("coordinator", whole_field(fetched, "coordinator_bytes"));
  add("own file", whole_field(fetched, "file_bytes"));
  for (const nlohmann::json& peer : list_field(fetched, "peers")) {
    add(text_field(peer, "name", "?"), whole_field(peer, "bytes"));
  }
  if (!line.empty()) out.line("       fetched from:" + line);
}

void print_health(const nlohmann::json& health, Output& out) {
  std::string reason = text_field(health, "reason", "");
  const int64_t share = whole_field(health, "share_percent");
  if (!reason.empty()) out.line(fmt::format("       lends {} % of its speed: {}", share, reason));
}

// What speaks against a worker, or how often its answers are compared.
void print_trust(const nlohmann::json& worker, Output& out) {
  const nlohmann::json& trust = object_field(worker, "trust");
  const nlohmann::json& quarantine = object_field(worker, "quarantine");
  if (!quarantine.empty()) {
    out.line("       in quarantine, gets no work: " + text_field(quarantine, "reason", "?"));
  }
  int64_t compared = whole_field(trust, "compared");
  std::string breaker = text_field(worker, "breaker", "closed");
  if (compared == 0 && breaker == "closed") return;
  out.line(fmt::format("       answers: {} right in a row, {} compared, {} wrong{}",
                       whole_field(trust, "valid_in_a_row"), compared, whole_field(trust, "wrong"),
                       breaker == "closed" ? "" : "; failed lately, its breaker is " + breaker));
}

// How fast it is, as far as that is known.
void print_facts(const nlohmann::json& worker, Output& out) {
  const DeviceFacts facts = facts_of_json(object_field(worker, "facts"));
  std::string line;
  auto add = [&](const char* what, double rate) {
    if (rate <= 0) return;
    line += fmt::format("  {} {}/s", what, format_bytes(static_cast<uint64_t>(rate)));
  };
  add("disk", facts.disk_rate);
  for (const ProductSpeed& speed : facts.products) {
    std::string name(block_format(speed.format).name);
    add(name.c_str(), static_cast<double>(speed.one_row));
  }
  add("seen", facts.observed_rate);
  if (facts.round_trip > 0) line += fmt::format("  round trip {:.2f} ms", facts.round_trip * 1e3);
  if (!line.empty()) out.line("       speed:" + line);
  const std::string left_out = text_field(worker, "left_out", "");
  if (!left_out.empty()) out.line("       left out: " + left_out);
}

// Of a model whose experts are with the workers alone.
void print_spread(const nlohmann::json& spread, Output& out) {
  if (spread.empty()) return;
  const auto complete = spread.find("complete");
  const bool done = complete != spread.end() && complete->is_boolean() && complete->get<bool>();
  out.line(fmt::format("spread from {}: {} of {} experts passed on{}",
                       text_field(spread, "source", "?"), whole_field(spread, "experts_passed_on"),
                       whole_field(spread, "experts"),
                       done ? ", the source is not needed any more" : ""));
  if (int64_t scarce = whole_field(spread, "units_without_all_copies"); scarce > 0) {
    out.line(fmt::format("  {} units have fewer copies than they should", scarce));
  }
  if (int64_t missing = whole_field(spread, "missing_units"); missing > 0) {
    out.line(fmt::format("  {} units are with no worker, {} calls wait for them:", missing,
                         whole_field(spread, "waiting_calls")));
    for (const nlohmann::json& name : list_field(spread, "missing")) {
      if (name.is_string()) out.line("    " + name.get<std::string>());
    }
  }
  const std::string trouble = text_field(spread, "trouble", "");
  if (!trouble.empty()) out.line("  " + trouble);
}

// The file may be from another version of this program: what is missing counts as 0 or "?".
void print_plain(const nlohmann::json& status, bool running, int64_t age_seconds, Output& out) {
  out.line(
      fmt::format("coordinator {}: {}, model {}", whole_field(status, "process"),
                  running ? "running" : fmt::format("ended ({} s ago at the latest)", age_seconds),
                  text_field(status, "model", "?")));
  out.line(fmt::format("{} of {} units ready, {} workers lost", whole_field(status, "units_ready"),
                       whole_field(status, "units_assigned"), whole_field(status, "workers_lost")));
  print_spread(object_field(status, "spread"), out);
  for (const nlohmann::json& worker : list_field(status, "workers")) {
    out.line(fmt::format("  {:>3}  {:<20} {}  {}/{} units  {}", whole_field(worker, "number"),
                         text_field(worker, "name", "?"), text_field(worker, "key", "?"),
                         whole_field(worker, "units_ready"), whole_field(worker, "units_assigned"),
                         text_field(worker, "software", "?")));
    print_trust(worker, out);
    print_sources(object_field(worker, "fetched"), out);
    print_health(object_field(worker, "health"), out);
    print_facts(worker, out);
  }
}

Status show_status(bool json, const Environment& environment) {
  auto status = read_status(environment.storage, home_directory() + "/coordinator");
  if (!status) return status.error();
  // Its number may mean another process by now, or one that was there before the machine started
  // anew.
  std::optional<uint64_t> started =
      process_start(environment.system, whole_field(*status, "process"));
  const bool running =
      started && *started == static_cast<uint64_t>(whole_field(*status, "process_start"));
  (*status)["running"] = running;
  if (json) {
    environment.out.json(*status);
    return {};
  }
  // Whole seconds of any size: the difference must not overflow.
  const int64_t written = std::max<int64_t>(0, whole_field(*status, "written_unix_seconds"));
  const int64_t age = std::max<int64_t>(0, environment.clock.unix_seconds() - written);
  print_plain(*status, running, age, environment.out);
  return {};
}

}  // namespace

Command add_status(CLI::App& app, Environment& environment) {
  auto json = std::make_shared<bool>(false);
  CLI::App* parser = add_command(app, "status", "show the pool of this machine's coordinator");
  add_switch(parser, "--json", json.get(), "one JSON object");
  return {parser, [json, &environment] { return show_status(*json, environment); }};
}

}  // namespace potluck
