// `potluck doctor`: looks at what makes pools slow or keeps devices out, and says what to do. Exit
// code: 0 all is well, 3 there is advice, 1 there are problems.
#include <filesystem>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/directories.h"
#include "coordinator/cli/doctor_advice.h"
#include "coordinator/cli/doctor_gather.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/status_file.h"
#include "engine/base/process_identity.h"
#include "engine/kernels/kernels.h"
#include "protocol/beacon.h"
#include "protocol/listen_address.h"
#include "worker/known_pools.h"

namespace potluck {
namespace {

constexpr int kExitAdvice = 3;
constexpr uint32_t kHighestPort = 65535;
constexpr uint16_t kApiPort = 8080;
constexpr std::string_view kScheme = "tcp://";

// Whose machine it is: what only coordinators need is of no use on others.
enum class DoctorOf { kAnyDevice, kWorker };

struct DoctorFlags {
  DoctorOf of = DoctorOf::kAnyDevice;
  std::string listen = "*:7700";
  std::string coordinator;
  std::string api;
  std::string store;
  uint16_t port = kApiPort;
  uint16_t beacon_port = kBeaconPort;
  bool json = false;
};

bool coordinator_runs(const Environment& environment) {
  auto status = read_status(environment.storage, home_directory() + "/coordinator");
  if (!status) return false;
  const auto started = process_start(environment.system, whole_field(*status, "process"));
  return started && *started == static_cast<uint64_t>(whole_field(*status, "process_start"));
}

std::vector<PortFact> port_facts(const DoctorFlags& flags, uint16_t listen, DoctorProbes& probes) {
  std::vector<PortFact> ports;
  auto add = [&](const char* use, const char* flag, uint32_t port, bool udp) {
    if (port == 0 || port > kHighestPort) return;  // any that is free
    const auto number = static_cast<uint16_t>(port);
    ports.push_back({use, flag, number, udp, probes.port_free(number, udp)});
  };
  const uint32_t first = listen;
  add("workers join", "serve --listen HOST:PORT", first, false);
  if (first != 0) {
    add("workers compute", "serve --listen HOST:PORT", first + 1, false);
    add("workers fetch experts", "serve --listen HOST:PORT", first + 2, false);
  }
  add("devices find the coordinator", "--beacon-port N on both sides", flags.beacon_port, true);
  add("the HTTP API", "serve --port N", flags.port, false);
  return ports;
}

// The folder itself, or the one in which it would be made.
std::string existing_folder(std::string directory, Storage& storage) {
  while (directory.size() > 1 && !storage.free_bytes(directory)) {
    const size_t slash = directory.rfind('/');
    if (slash == std::string::npos) return ".";
    directory = slash == 0 ? "/" : directory.substr(0, slash);
  }
  return directory;
}

// HOST:PORT of the coordinator that was found last; empty if none is known.
std::string known_coordinator(const std::string& store, const Environment& environment) {
  std::vector<std::string> problems;
  for (const PoolAddress& pool : KnownPools(environment.storage, store).load_all(&problems)) {
    if (pool.compute_endpoint.starts_with(kScheme)) {
      return pool.compute_endpoint.substr(kScheme.size());
    }
  }
  return "";
}

// HOST:PORT with a host as the system looks it up.
Result<ListenAddress> parse_place(const std::string& flag, const std::string& text) {
  auto address = parse_listen_address(text);
  if (!address) return address.error().in(flag);
  std::string& host = address->host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return address;
}

// The way to the coordinator, and its clock.
Status look_there(const DoctorFlags& flags, const std::string& store,
                  const Environment& environment, DoctorProbes& probes, DoctorFacts* facts) {
  const bool given = !flags.coordinator.empty();
  const std::string place = given ? flags.coordinator : known_coordinator(store, environment);
  std::string api_host;
  uint16_t api_port = kApiPort;
  if (!place.empty()) {
    auto address = parse_place("--coordinator", place);
    if (!address && given) return address.error();
    if (address) {
      facts->link = probes.measure_link(address->host, address->port, !given);
      api_host = address->host;
    }
  }
  if (!flags.api.empty()) {
    auto address = parse_place("--api", flags.api);
    if (!address) return address.error();
    api_host = address->host;
    api_port = address->port;
  }
  if (api_host.empty()) return {};
  const auto there = probes.remote_clock(api_host, api_port, !given && flags.api.empty());
  if (there) facts->clock_ahead = environment.clock.unix_seconds() - *there;
  return {};
}

Result<DoctorFacts> doctor_facts(const DoctorFlags& flags, const Environment& environment,
                                 DoctorProbes& probes) {
  DoctorFacts facts;
  const SystemFiles& system = environment.system;
  const std::string store = flags.store.empty() ? home_directory() + "/worker" : flags.store;
  facts.unix_seconds = environment.clock.unix_seconds();
  facts.clock_kept = probes.clock_kept();
  if (flags.of == DoctorOf::kAnyDevice) {
    auto listen = parse_listen_address(flags.listen);
    if (!listen) return listen.error().in("--listen");
    facts.coordinator_runs = coordinator_runs(environment);
    facts.ports = port_facts(flags, listen->port, probes);
  }
  facts.firewall = firewall_of(system);
  const std::string folder = existing_folder(store, environment.storage);
  std::error_code failure;
  const std::filesystem::path full = std::filesystem::canonical(folder, failure);
  facts.disk = mount_of(system, failure ? folder : full.string());
  measure_disk(folder, environment.storage, environment.clock, environment.entropy, &facts.disk);
  facts.limits = process_limits(system);
  facts.lockable_bytes = own_limit(system, "Max locked memory");
  facts.descriptors = own_limit(system, "Max open files");
  facts.huge_pages = huge_pages_of(system);
  facts.processor = processor_name(system);
  for (const KernelTable* table : available_kernels()) facts.kernels.emplace_back(table->name);
  if (Status looked = look_there(flags, store, environment, probes, &facts); !looked) {
    return looked.error();
  }
  facts.wireless = wireless_of(system);
  for (WirelessFact& wireless : facts.wireless) {
    wireless.saves_power = probes.saves_power(wireless.interface);
  }
  return facts;
}

nlohmann::json describe_findings(const std::vector<Finding>& findings, const DoctorFacts& facts) {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"subject", finding.subject},
                    {"level", finding_level_name(finding.level)},
                    {"found", finding.found},
                    {"advice", finding.advice}});
  }
  nlohmann::json report = {{"verdict", finding_level_name(worst_level(findings))},
                           {"findings", list}};
  if (facts.disk.bytes_per_second) report["disk_bytes_per_second"] = *facts.disk.bytes_per_second;
  if (facts.link.answered > 0) report["round_trip_seconds"] = facts.link.round_trip;
  return report;
}

Status examine(const DoctorFlags& flags, Environment& environment) {
  SystemProbes probes(environment.clock);
  auto facts = doctor_facts(flags, environment, probes);
  if (!facts) return facts.error();
  const std::vector<Finding> findings = advise(*facts);
  if (flags.json) environment.out.json(describe_findings(findings, *facts));
  size_t pieces = 0, problems = 0;
  for (const Finding& finding : findings) {
    pieces += finding.level == FindingLevel::kAdvice ? 1 : 0;
    problems += finding.level == FindingLevel::kProblem ? 1 : 0;
    if (flags.json) continue;
    environment.out.line(fmt::format("{:<8} {}: {}{}{}", finding_level_name(finding.level),
                                     finding.subject, finding.found,
                                     finding.advice.empty() ? "" : "; ", finding.advice));
  }
  if (pieces + problems == 0) return {};
  if (problems == 0) environment.failed = kExitAdvice;
  return Error{ErrorCode::kUnsupported,
               fmt::format("doctor: problems: {}, advice: {}", problems, pieces)};
}

void add_port_flags(CLI::App* parser, DoctorFlags* flags) {
  add_text(parser, "--listen", &flags->listen,
           "as of serve: its three ports are looked at (*:7700)")
      .envname("POTLUCK_LISTEN");
  add_whole(parser, "--port", &flags->port, {0, kHighestPort},
            "port of the HTTP API to look at; 0: none (default 8080)")
      .envname("POTLUCK_PORT");
  add_whole(parser, "--beacon-port", &flags->beacon_port, {1, kHighestPort},
            "UDP port at which devices ask (default 7700)")
      .envname("POTLUCK_BEACON_PORT");
}

Command add_doctor_of(DoctorOf of, CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<DoctorFlags>();
  flags->of = of;
  CLI::App* parser = add_command(
      app, "doctor", "look at what makes this device slow or keeps others out, and say what to do");
  add_text(parser, "--coordinator", &flags->coordinator,
           "HOST:PORT of a coordinator to measure the way to (default: the one this worker "
           "belongs to, if its address is of a private network)");
  add_text(parser, "--api", &flags->api,
           "HOST:PORT of the coordinator's HTTP API, whose clock is compared (default: port 8080 "
           "of that coordinator)");
  add_text(
      parser, "--store", &flags->store,
      "the worker's directory, whose disk is measured (default: ~/.local/share/potluck/worker)")
      .envname("POTLUCK_STORE");
  if (of == DoctorOf::kAnyDevice) add_port_flags(parser, flags.get());
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return examine(*flags, environment); }};
}

}  // namespace

Command add_doctor(CLI::App& app, Environment& environment) {
  return add_doctor_of(DoctorOf::kAnyDevice, app, environment);
}

Command add_worker_doctor(CLI::App& app, Environment& environment) {
  return add_doctor_of(DoctorOf::kWorker, app, environment);
}

}  // namespace potluck
