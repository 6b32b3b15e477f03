#include "coordinator/cli/device_flags.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/flags.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

const char* const kSimulatedGroup =
    "Simulated devices (real bytes are moved, the rest is waited for)";

}  // namespace

void add_device_flags(CLI::App* parser, DeviceFlags* flags) {
  add_choice(parser, "--reader", &flags->reader, {"auto", "threads", "io_uring"},
             "how experts are read from disk (default auto)")
      .envname("POTLUCK_READER");
  add_whole(parser, "--read-depth", &flags->read_depth, {0, limits::kReadDepth},
            "reads at the same time (default, 0: what a short measurement finds best)")
      .envname("POTLUCK_READ_DEPTH");
  const char* group = kSimulatedGroup;
  add_rate(parser, "--sim-disk", &flags->sim_disk, "read as from a disk of RATE, such as 200MB/s")
      .group(group);
  add_link(parser, "--sim-link", &flags->sim_link,
           "talk as over a link of DELAY,RATE, such as 3ms,30MB/s (workers)")
      .group(group);
  add_decimal(parser, "--sim-compute", &flags->sim_compute, {1, limits::kSimulatedFactor},
              "compute as on a processor so many times slower (workers)")
      .group(group);
}

void add_launcher_flag(CLI::App* parser, DeviceFlags* flags) {
  add_text(parser, "--worker-launcher", &flags->worker_launcher,
           "start worker K with this command, {} being K, such as '/sbin/ip netns exec host{}': in "
           "network namespaces, which scripts/hosts makes")
      .group(kSimulatedGroup);
}

Result<std::vector<std::string>> launcher_words(const DeviceFlags& flags) {
  std::vector<std::string> words;
  std::string_view text = flags.worker_launcher;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (words.empty() || words.front().starts_with('/')) return words;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("--worker-launcher: expected a program's path first, found \"{}\"",
                           words.front())};
}

Result<DeviceOptions> device_options(const DeviceFlags& flags) {
  DeviceOptions options;
  Result<ReaderChoice> reader = parse_reader_choice("--reader", flags.reader);
  if (!reader) return reader.error();
  options.reader.choice = *reader;
  options.reader.depth = flags.read_depth;
  if (!flags.sim_disk.empty()) {
    Result<uint64_t> rate = parse_rate("--sim-disk", flags.sim_disk);
    if (!rate) return rate.error();
    options.reader.simulated_bytes_per_second = *rate;
  }
  if (!flags.sim_link.empty()) {
    Result<LinkSpec> link = read_link(flags.sim_link);
    if (!link) return link.error().in("--sim-link");
    options.simulated_link = *link;
  }
  options.simulated_compute = flags.sim_compute;
  return options;
}

// As they were written: the worker parses them again, with the same checks.
std::vector<std::string> join_arguments(const DeviceFlags& flags) {
  std::vector<std::string> arguments = {"--reader", flags.reader, "--read-depth",
                                        std::to_string(flags.read_depth)};
  auto add = [&arguments](const char* flag, const std::string& value) {
    arguments.insert(arguments.end(), {flag, value});
  };
  if (!flags.sim_disk.empty()) add("--sim-disk", flags.sim_disk);
  if (!flags.sim_link.empty()) add("--sim-link", flags.sim_link);
  if (flags.sim_compute != 1) add("--sim-compute", fmt::format("{}", flags.sim_compute));
  return arguments;
}

nlohmann::json describe_simulation(const DeviceOptions& options) {
  nlohmann::json simulated;
  if (options.reader.simulated_bytes_per_second != 0) {
    simulated["disk_bytes_per_s"] = options.reader.simulated_bytes_per_second;
  }
  if (options.simulated_link) {
    simulated["link_delay_s"] = in_seconds(options.simulated_link->delay);
    simulated["link_bytes_per_s"] = options.simulated_link->bytes_per_second;
  }
  if (options.simulated_compute != 1) simulated["compute_factor"] = options.simulated_compute;
  return simulated;
}

}  // namespace potluck
