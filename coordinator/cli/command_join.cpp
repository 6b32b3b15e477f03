// `potluck join`: become a worker.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/device_flags.h"
#include "coordinator/cli/directories.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/health_flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_search.h"
#include "coordinator/cli/worker_json.h"
#include "engine/base/limits.h"
#include "engine/base/thread_annotations.h"
#include "protocol/control_socket.h"
#include "worker/known_pools.h"
#include "worker/worker_daemon.h"

namespace potluck {
namespace {

// What is lent where nothing says how much memory there is.
constexpr uint64_t kUnknownMemory = 256 * kMiB;
// A few parts of experts.
constexpr uint64_t kLeastMemory = 16 * kMiB;
constexpr uint32_t kLongestWait = 24 * 3600;
constexpr int kTokenWords = 64;  // with "potluck join" in front, or broken over lines

struct JoinFlags {
  std::vector<std::string> token;  // words as they were pasted
  std::string pool;
  bool search = false;
  uint32_t search_seconds = 60;
  uint16_t beacon_port = kBeaconPort;
  uint32_t leave_seconds = 30;
  std::string store;
  std::string ram;
  std::string disk;
  std::string writes_per_day;
  std::string name;
  std::string isa;
  std::string listen;
  std::string serve_rate;
  std::string model;
  int threads = 0;
  bool no_remember = false;
  bool quiet = false;
  LogFlags log;
  DeviceFlags device;
  HealthFlags health;
};

// A size that this process can never have would end it when the cache is filled, not now.
Result<uint64_t> memory_to_lend(const std::string& flag, const ProcessLimits& limits) {
  if (flag.empty()) {
    if (limits.total.source.empty()) return kUnknownMemory;
    uint64_t lent = default_lent_memory(limits);
    if (lent >= kLeastMemory) return lent;
    return Error{ErrorCode::kLimit,
                 fmt::format("{} of memory can be had ({}), too little to lend a part of it; --ram "
                             "chooses a size all the same",
                             format_bytes(limits.available.bytes), limits.available.source)};
  }
  Result<uint64_t> ram = parse_size("--ram", flag);
  if (!ram || *ram <= limits.total.bytes) return ram;
  return Error{ErrorCode::kLimit,
               fmt::format("--ram {}: this process may use {} at most ({}); half of that is the "
                           "default",
                           flag, format_bytes(limits.total.bytes), limits.total.source)};
}

// What the store has taken of its disk already: part of what it may take, or every start would
// leave it less.
uint64_t held_bytes(Storage& storage, const std::string& store_directory) {
  const std::string segments = store_directory + "/segments";
  auto names = storage.list(segments);
  uint64_t total = 0;
  for (size_t i = 0; names && i < names->size(); ++i) {
    auto file = storage.open(segments + "/" + (*names)[i], ReadMode::kBuffered);
    if (file) total += (*file)->size();
  }
  return total;
}

Result<WorkerDaemonOptions> daemon_options(const JoinFlags& flags, const Environment& environment) {
  Storage& storage = environment.storage;
  const ProcessLimits limits = process_limits(environment.system);
  WorkerDaemonOptions options;
  // The words as they were pasted: parse_invitation() finds the token among them.
  options.token = fmt::format("{}", fmt::join(flags.token, " "));
  options.store_directory = flags.store.empty() ? home_directory() + "/worker" : flags.store;
  options.name = flags.name.empty() ? host_name("worker") : flags.name;
  options.isa = flags.isa;
  options.remember = !flags.no_remember;
  options.leave_timeout = std::chrono::seconds(flags.leave_seconds);
  options.threads = flags.threads > 0 ? flags.threads : default_threads(limits);
  Result<DeviceOptions> device = device_options(flags.device);
  if (!device) return device.error();
  options.reader = device->reader;
  options.simulated_link = device->simulated_link;
  options.simulated_compute = device->simulated_compute;
  Result<HealthOptions> health = health_options(flags.health);
  if (!health) return health.error();
  options.health = *health;
  options.listen = flags.listen;
  if (!flags.model.empty()) {
    Result<std::string> path = environment.model_path(flags.model);
    if (!path) return path.error().in("--model");
    options.model_path = std::move(*path);
  }
  if (!flags.serve_rate.empty()) {
    Result<uint64_t> rate = parse_rate("--serve-rate", flags.serve_rate);
    if (!rate) return rate.error();
    options.serve_rate = *rate;
  }
  if (!flags.writes_per_day.empty()) {
    Result<uint64_t> bytes = parse_size("--max-writes-per-day", flags.writes_per_day);
    if (!bytes) return bytes.error();
    options.max_writes_per_day = *bytes;
  }
  Result<uint64_t> ram = memory_to_lend(flags.ram, limits);
  if (!ram) return ram.error();
  options.ram_bytes = *ram;
  if (!flags.disk.empty()) {
    Result<uint64_t> disk = parse_size("--disk", flags.disk);
    if (!disk) return disk.error();
    options.disk_bytes = *disk;
    return options;
  }
  if (Status made = storage.make_directories(options.store_directory); !made) return made.error();
  Result<uint64_t> free = storage.free_bytes(options.store_directory);
  if (!free) return free.error();
  // Leaves the owner some room.
  options.disk_bytes = (*free + held_bytes(storage, options.store_directory)) / 10 * 8;
  return options;
}

// Without an invitation, and where no pool is known yet, one is looked for on the network.
Status find_pool(const JoinFlags& flags, const Environment& environment,
                 WorkerDaemonOptions* options) {
  if (!flags.token.empty()) {
    if (!flags.search && flags.pool.empty()) return {};
    return Error{ErrorCode::kInvalidArgument,
                 "--search and --pool look for a pool on the network: expected no invitation"};
  }
  std::vector<std::string> problems;
  const KnownPools known(environment.storage, options->store_directory);
  const bool search = flags.search || !flags.pool.empty();
  if (!search && !known.load_all(&problems).empty()) return {};
  PoolSearch wanted{flags.pool, std::chrono::seconds(flags.search_seconds), flags.beacon_port};
  Result<FoundPool> found = search_pool(wanted, environment);
  if (!found) return found.error();
  environment.terminal.notice(
      fmt::format("found the coordinator {} (key {}); asking it to admit "
                  "this device",
                  found->name, found->coordinator.brief()));
  options->pair_with = std::move(*found);
  return {};
}

// What the worker's thread has said last, for the thread that answers questions.
class WorkerBoard {
 public:
  void put(WorkerReport report) {
    MutexLock lock(mutex_);
    report_ = std::move(report);
  }
  WorkerReport look() const {
    MutexLock lock(mutex_);
    return report_;
  }

 private:
  mutable Mutex mutex_;
  WorkerReport report_ GUARDED_BY(mutex_);
};

// Any question is answered with what this process is doing, "status" with all of that; "leave" is
// also obeyed.
ControlHandler worker_control(std::atomic<bool>& leave, const WorkerBoard& board) {
  return [&leave, &board](const std::string& text) {
    auto question = read_json(text);
    const std::string verb = question ? text_field(*question, "verb", "") : "";
    if (verb == "leave") leave = true;
    nlohmann::json answer = {{"leaving", leave.load()}};
    if (verb == "status") answer["worker"] = describe_worker_report(board.look());
    return json_text(answer);
  };
}

Status join(const JoinFlags& flags, const Environment& environment) {
  Terminal& terminal = environment.terminal;
  // Before anything is counted and any thread is started: what starts inherits it.
  Result<std::vector<std::string>> gentle = take_less(flags.health, environment.system);
  if (!gentle) return gentle.error();
  for (const std::string& sentence : *gentle) terminal.notice(sentence);
  Result<WorkerDaemonOptions> options = daemon_options(flags, environment);
  if (!options) return options.error();
  WorkerObserver observer;
  observer.log = &terminal;
  observer.status = [&terminal](const MembershipStatus& status) {
    if (status.units_assigned == 0) return;
    terminal.progress("fetching units", status.units_ready, status.units_assigned);
  };
  // `potluck leave` and `potluck status --worker` ask by this socket.
  std::atomic<bool> leave{false};
  WorkerBoard board;
  observer.report = [&board](const WorkerReport& report) { board.put(report); };
  std::unique_ptr<ControlServer> control;
  options->leave = &leave;
  observer.opened = [&] {
    auto started = ControlServer::start(options->store_directory, worker_control(leave, board));
    if (started) {
      control = std::move(*started);
    } else {
      terminal.notice(
          fmt::format("`{} leave` will not work: {}", environment.name, started.error().message));
    }
  };
  // Before the first line is printed: a program that reads it may answer with a signal at once.
  StopSignal::Watch watch(environment.stop);
  if (Status found = find_pool(flags, environment, &*options); !found) return found;
  terminal.notice(fmt::format("store {}, {} of memory, {} of disk", options->store_directory,
                              format_bytes(options->ram_bytes), format_bytes(options->disk_bytes)));
  nlohmann::json simulated = describe_simulation(*device_options(flags.device));
  if (!simulated.is_null()) terminal.notice("simulates a slower device: " + json_text(simulated));
  return run_worker(*options, environment.storage, environment.clock, environment.entropy,
                    environment.system, observer, environment.stop.requested());
}

}  // namespace

Command add_join(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<JoinFlags>();
  CLI::App* parser = add_command(app, "join", "become a worker of a pool");
  add_text(parser, "TOKEN", &flags->token,
           "the invitation that `potluck serve` prints, as it was copied; without one, the pools "
           "this worker already belongs to, or else a pool that is found on this network")
      .expected(0, kTokenWords)
      .envname("POTLUCK_TOKEN");
  add_text(parser, "--pool", &flags->pool,
           "look on this network for the pool of this name, or whose key begins so")
      .envname("POTLUCK_POOL");
  add_switch(parser, "--search", &flags->search,
             "look for a pool on this network even if this worker belongs to one already");
  add_whole(parser, "--search-timeout", &flags->search_seconds, {1, kLongestWait},
            "seconds to look for one (default 60)");
  add_whole(parser, "--beacon-port", &flags->beacon_port, {1, UINT16_MAX},
            "UDP port at which coordinators are asked (default 7700)")
      .envname("POTLUCK_BEACON_PORT");
  add_text(parser, "--store", &flags->store,
           "directory for keys and experts (default: ~/.local/share/potluck/worker)")
      .envname("POTLUCK_STORE");
  add_size(parser, "--ram", &flags->ram,
           "memory for experts, such as 2GiB (default: half of what there is)")
      .envname("POTLUCK_RAM");
  add_size(parser, "--disk", &flags->disk,
           "disk for experts (default: 80 % of what is free or held)")
      .envname("POTLUCK_DISK");
  add_size(parser, "--max-writes-per-day", &flags->writes_per_day,
           "bytes that it writes to the store on one day at most, such as 20GiB; what it cannot "
           "take goes to other devices (default: any number; 0: the same)")
      .envname("POTLUCK_MAX_WRITES_PER_DAY");
  add_whole(parser, "--threads", &flags->threads, {0, limits::kThreads},
            "threads (default, 0: one per processor that may be used)")
      .envname("POTLUCK_THREADS");
  add_text(parser, "--name", &flags->name, "what people call this device (default: its host name)");
  add_text(parser, "--isa", &flags->isa,
           fmt::format("instruction set of the kernels, one of those that `{} version` names",
                       environment.name))
      .envname("POTLUCK_ISA");
  add_text(parser, "--listen", &flags->listen,
           "HOST:PORT where other workers fetch experts from this one, or off (default: the "
           "address towards the coordinator, any port)")
      .envname("POTLUCK_LISTEN");
  add_rate(parser, "--serve-rate", &flags->serve_rate,
           "bytes per second sent to other workers, such as 20MiB/s; an eighth of it while there "
           "is work (default 1GiB/s)")
      .envname("POTLUCK_SERVE_RATE");
  add_text(parser, "--model", &flags->model,
           "a copy of the model on this device: experts are cut from it, not fetched")
      .envname("POTLUCK_MODEL");
  add_whole(parser, "--leave-timeout", &flags->leave_seconds, {0, kLongestWait},
            "seconds that others may take to get what this worker holds when it is to end, by "
            "Ctrl-C or the command leave (default 30; a second Ctrl-C ends it at once)")
      .envname("POTLUCK_LEAVE_TIMEOUT");
  add_switch(parser, "--no-remember", &flags->no_remember, "forget the pool when it ends");
  add_switch(parser, "--quiet", &flags->quiet, "errors only on standard error");
  add_health_flags(parser, &flags->health);
  add_log_flags(parser, &flags->log);
  add_device_flags(parser, &flags->device);
  return {parser, [flags, &environment] { return join(*flags, environment); }};
}

}  // namespace potluck
