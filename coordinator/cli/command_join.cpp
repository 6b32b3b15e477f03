// `potluck join`: become a worker.
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "engine/base/notice_limiter.h"
#include "worker/worker_daemon.h"

namespace potluck {
namespace {

constexpr int kTokenWords = 64;  // with "potluck join" in front, or broken over lines

struct JoinFlags {
  std::vector<std::string> token;  // words as they were pasted
  std::string store;
  std::string ram;
  std::string disk;
  std::string name;
  std::string isa;
  std::string listen;
  std::string serve_rate;
  std::string model;
  int threads = 0;
  bool no_remember = false;
  bool quiet = false;
  DeviceFlags device;
};

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "worker";
}

// Half of this machine's memory: a device that is lent should stay usable.
uint64_t default_ram() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / 2;
}

Result<WorkerDaemonOptions> daemon_options(const JoinFlags& flags, Storage& storage) {
  WorkerDaemonOptions options;
  options.token = fmt::format("{}", fmt::join(flags.token, " "));
  options.store_directory = flags.store.empty() ? home_directory() + "/worker" : flags.store;
  options.name = flags.name.empty() ? host_name() : flags.name;
  options.isa = flags.isa;
  options.remember = !flags.no_remember;
  options.threads = flags.threads > 0
                        ? flags.threads
                        : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Result<DeviceOptions> device = device_options(flags.device);
  if (!device) return device.error();
  options.reader = device->reader;
  options.simulated_link = device->simulated_link;
  options.simulated_compute = device->simulated_compute;
  options.listen = flags.listen;
  options.model_path = flags.model;
  if (!flags.serve_rate.empty()) {
    Result<uint64_t> rate = parse_rate("--serve-rate", flags.serve_rate);
    if (!rate) return rate.error();
    options.serve_rate = *rate;
  }
  options.ram_bytes = default_ram();
  if (!flags.ram.empty()) {
    Result<uint64_t> ram = parse_size("--ram", flags.ram);
    if (!ram) return ram.error();
    options.ram_bytes = *ram;
  }
  if (!flags.disk.empty()) {
    Result<uint64_t> disk = parse_size("--disk", flags.disk);
    if (!disk) return disk.error();
    options.disk_bytes = *disk;
    return options;
  }
  if (Status made = storage.make_directories(options.store_directory); !made) return made.error();
  Result<uint64_t> free = storage.free_bytes(options.store_directory);
  if (!free) return free.error();
  options.disk_bytes = *free / 10 * 8;  // leaves the owner some room
  return options;
}

Status join(const JoinFlags& flags, const Environment& environment) {
  Terminal terminal(environment.clock, flags.quiet);
  Result<WorkerDaemonOptions> options = daemon_options(flags, environment.storage);
  if (!options) return options.error();
  WorkerObserver observer;
  NoticeLimiter limiter(environment.clock);
  observer.notice = [&terminal, &limiter](const std::string& text) {
    if (limiter.admit(text)) terminal.notice(text);
    for (const std::string& summary : limiter.take_summaries()) terminal.notice(summary);
  };
  observer.status = [&terminal](const MembershipStatus& status) {
    if (status.units_assigned == 0) return;
    terminal.progress("fetching units", status.units_ready, status.units_assigned);
  };
  terminal.notice(fmt::format("store {}, {} of memory, {} of disk", options->store_directory,
                              format_bytes(options->ram_bytes), format_bytes(options->disk_bytes)));
  nlohmann::json simulated = describe_simulation(*device_options(flags.device));
  if (!simulated.is_null()) terminal.notice("simulates a slower device: " + simulated.dump());
  return run_worker(*options, environment.storage, environment.clock, environment.entropy, observer,
                    environment.stop);
}

}  // namespace

Command add_join(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<JoinFlags>();
  CLI::App* parser = app.add_subcommand("join", "become a worker of a pool");
  parser
      ->add_option("TOKEN", flags->token,
                   "the invitation that `potluck serve` prints, as it was copied; without one, the "
                   "pools this worker already belongs to")
      ->expected(0, kTokenWords)
      ->envname("POTLUCK_TOKEN");
  parser->add_option("--store", flags->store, "directory for keys and experts (~/.potluck/worker)")
      ->envname("POTLUCK_STORE");
  parser->add_option("--ram", flags->ram, "memory for experts, such as 2GiB (default: half)")
      ->envname("POTLUCK_RAM");
  parser->add_option("--disk", flags->disk, "disk for experts (default: 80 % of what is free)")
      ->envname("POTLUCK_DISK");
  parser->add_option("--threads", flags->threads, "threads (default: one per processor)")
      ->envname("POTLUCK_THREADS");
  parser->add_option("--name", flags->name,
                     "what people call this device (default: its host name)");
  parser->add_option("--isa", flags->isa, "instruction set of the kernels: scalar, avx2 ..")
      ->envname("POTLUCK_ISA");
  parser
      ->add_option("--listen", flags->listen,
                   "HOST:PORT where other workers fetch experts from this one, or off (default: "
                   "the address towards the coordinator, any port)")
      ->envname("POTLUCK_LISTEN");
  parser
      ->add_option("--serve-rate", flags->serve_rate,
                   "bytes per second sent to other workers, such as 20MiB/s; an eighth of it while "
                   "there is work (default 1GiB/s)")
      ->envname("POTLUCK_SERVE_RATE");
  parser
      ->add_option("--model", flags->model,
                   "a copy of the model on this device: experts are cut from it, not fetched")
      ->envname("POTLUCK_MODEL");
  parser->add_flag("--no-remember", flags->no_remember, "forget the pool when it ends");
  parser->add_flag("--quiet", flags->quiet, "errors only on standard error");
  add_device_flags(parser, &flags->device);
  return {parser, [flags, &environment] { return join(*flags, environment); }};
}

}  // namespace potluck
