// `potluck status`: the pool of the coordinator that runs on this machine.
#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/directories.h"
#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/health_words.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/live_screen.h"
#include "coordinator/cli/pool_json.h"
#include "coordinator/cli/pool_picture.h"
#include "coordinator/cli/pool_power.h"
#include "coordinator/cli/status_file.h"
#include "coordinator/cli/worker_status.h"
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

void print_condition(const nlohmann::json& worker, Output& out) {
  const WorkerHealth health = health_of_json(object_field(worker, "health"));
  const auto ram = static_cast<uint64_t>(std::max<int64_t>(0, whole_field(worker, "ram_bytes")));
  const std::string room = text_field(worker, "lacks_room", "");
  for (const std::string& words :
       {lending_words(health), room.empty() ? room : "has no room: " + room,
        memory_words(health.use, ram), use_words(health.use)}) {
    if (!words.empty()) out.line("       " + words);
  }
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
  const nlohmann::json workers = list_field(status, "workers");
  out.line(fmt::format("{} of {} units ready, {} workers lost{}",
                       whole_field(status, "units_ready"), whole_field(status, "units_assigned"),
                       whole_field(status, "workers_lost"),
                       power_words(power_of_json(object_field(status, "power")), workers.size())));
  print_spread(object_field(status, "spread"), out);
  for (const nlohmann::json& worker : workers) {
    out.line(fmt::format("  {:>3}  {:<20} {}  {}/{} units  {}", whole_field(worker, "number"),
                         text_field(worker, "name", "?"), text_field(worker, "key", "?"),
                         whole_field(worker, "units_ready"), whole_field(worker, "units_assigned"),
                         text_field(worker, "software", "?")));
    print_trust(worker, out);
    print_sources(object_field(worker, "fetched"), out);
    print_condition(worker, out);
    print_facts(worker, out);
  }
}

std::string state_directory() {
  return home_directory() + "/coordinator";
}

// Its number may mean another process by now, or one that was there before the machine started
// anew.
bool is_running(const nlohmann::json& status, const Environment& environment) {
  std::optional<uint64_t> started =
      process_start(environment.system, whole_field(status, "process"));
  return started && *started == static_cast<uint64_t>(whole_field(status, "process_start"));
}

Status show_status(bool json, const Environment& environment) {
  auto status = read_status(environment.storage, state_directory());
  if (!status) return status.error();
  const bool running = is_running(*status, environment);
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

// The files of the coordinator, as they are at each look.
class PoolWatcher {
 public:
  explicit PoolWatcher(const Environment& environment) : environment_(environment) {}

  Result<PoolPicture> look() {
    auto status = read_status(environment_.storage, state_directory());
    if (!status) return status.error();
    if (const int64_t version = whole_field(*status, "map_version"); version != map_version_) {
      map_version_ = version;
      map_ = version > 0 ? read_map(environment_.storage, state_directory())
                         : nlohmann::json::object();
    }
    history_.add(sample_of(*status, object_field(*status, "service")));
    PoolPicture picture = picture_of(*status, map_, is_running(*status, environment_),
                                     environment_.clock.unix_seconds());
    picture.tokens_per_second = history_.tokens_per_second();
    picture.shares = history_.shares();
    return picture;
  }

 private:
  const Environment& environment_;
  int64_t map_version_ = 0;
  nlohmann::json map_ = nlohmann::json::object();
  PoolHistory history_;
};

MapKind next_kind(MapKind kind) {
  return kind == MapKind::kNone ? MapKind::kHolders
                                : static_cast<MapKind>(static_cast<uint8_t>(kind) + 1);
}

MapKind map_kind(const std::string& name) {
  if (name == "copies") return MapKind::kCopies;
  if (name == "use") return MapKind::kUse;
  return name == "none" ? MapKind::kNone : MapKind::kHolders;
}

Status watch_pool(const std::string& map, const Environment& environment) {
  PoolWatcher watcher(environment);
  MapKind kind = map_kind(map);
  LiveView view;
  view.draw = [&](ScreenSize size, const TerminalStyle& style) -> Result<std::string> {
    auto picture = watcher.look();
    if (!picture) return picture.error();
    return draw_pool(*picture, size, style, kind);
  };
  view.on_key = [&](char key) {
    if (key == 'm') kind = next_kind(kind);
  };
  return show_live(view, environment);
}

struct StatusFlags {
  bool json = false;
  bool watch = false;
  std::string map = "holders";
  bool worker = false;
  std::string store;
};

Status status_command(const StatusFlags& flags, const Environment& environment) {
  if (flags.watch && flags.json) {
    return Error{ErrorCode::kInvalidArgument, "--watch: not with --json"};
  }
  if (!flags.store.empty() && !flags.worker) {
    return Error{ErrorCode::kInvalidArgument, "--store: expected with --worker"};
  }
  if (flags.worker) {
    return show_worker(
        {flags.store.empty() ? home_directory() + "/worker" : flags.store, flags.watch, flags.json},
        environment);
  }
  if (flags.watch) return watch_pool(flags.map, environment);
  return show_status(flags.json, environment);
}

}  // namespace

Command add_status(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<StatusFlags>();
  CLI::App* parser =
      add_command(app, "status", "show the pool of this machine's coordinator, or its worker");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  add_switch(parser, "--watch", &flags->watch,
             "a table of the devices and a map of the experts, drawn anew each second: q ends it, "
             "m changes the map (where standard output is no terminal: once, as text)");
  add_choice(parser, "--map", &flags->map, {"holders", "copies", "use", "none"},
             "what the map of --watch shows of each expert (default holders)");
  add_switch(
      parser, "--worker", &flags->worker,
      "the worker of this machine instead: what it holds, is asked for and reads, its memory "
      "and heat; also with --watch and --json");
  add_text(parser, "--store", &flags->store,
           "the store of that worker (default: worker, in the data directory)")
      .envname("POTLUCK_STORE");
  return {parser, [flags, &environment] { return status_command(*flags, environment); }};
}

}  // namespace potluck
