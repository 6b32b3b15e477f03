#include "coordinator/cli/device_flags.h"

#include <charconv>

#include <fmt/format.h>

#include "coordinator/cli/engine_flags.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

Result<LinkSpec> parse_link(const std::string& text) {
  size_t comma = text.find(',');
  if (comma == std::string::npos) {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("--sim-link: expected DELAY,RATE such as 3ms,30MB/s, found '{}'", text)};
  }
  Result<Duration> delay = parse_duration("--sim-link", text.substr(0, comma));
  if (!delay) return delay.error();
  Result<uint64_t> rate = parse_rate("--sim-link", text.substr(comma + 1));
  if (!rate) return rate.error();
  return LinkSpec{*delay, *rate};
}

double seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

void add_device_flags(CLI::App* parser, DeviceFlags* flags) {
  parser
      ->add_option("--reader", flags->reader,
                   "how experts are read from disk: auto, threads or io_uring (default auto)")
      ->envname("POTLUCK_READER");
  parser
      ->add_option("--read-depth", flags->read_depth,
                   "reads at the same time (default: what a short measurement finds best)")
      ->envname("POTLUCK_READ_DEPTH");
  const char* group = "Simulated devices (real bytes are moved, the rest is waited for)";
  parser->add_option("--sim-disk", flags->sim_disk, "read as from a disk of RATE, such as 200MB/s")
      ->group(group);
  parser
      ->add_option("--sim-link", flags->sim_link,
                   "talk as over a link of DELAY,RATE, such as 3ms,30MB/s (workers)")
      ->group(group);
  parser
      ->add_option("--sim-compute", flags->sim_compute,
                   "compute as on a processor FACTOR times slower (workers)")
      ->group(group);
}

Result<DeviceOptions> device_options(const DeviceFlags& flags) {
  DeviceOptions options;
  Result<ReaderChoice> reader = parse_reader_choice("--reader", flags.reader);
  if (!reader) return reader.error();
  options.reader.choice = *reader;
  if (flags.read_depth > limits::kReadDepth) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--read-depth: expected 1 to {}, or 0 to measure, found {}",
                             limits::kReadDepth, flags.read_depth)};
  }
  options.reader.depth = flags.read_depth;
  if (!flags.sim_disk.empty()) {
    Result<uint64_t> rate = parse_rate("--sim-disk", flags.sim_disk);
    if (!rate) return rate.error();
    options.reader.simulated_bytes_per_second = *rate;
  }
  if (!flags.sim_link.empty()) {
    Result<LinkSpec> link = parse_link(flags.sim_link);
    if (!link) return link.error();
    options.simulated_link = *link;
  }
  if (!(flags.sim_compute >= 1 && flags.sim_compute <= limits::kSimulatedFactor)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--sim-compute: expected 1 to {}, found {}", limits::kSimulatedFactor,
                             flags.sim_compute)};
  }
  options.simulated_compute = flags.sim_compute;
  return options;
}

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
    simulated["link_delay_s"] = seconds(options.simulated_link->delay);
    simulated["link_bytes_per_s"] = options.simulated_link->bytes_per_second;
  }
  if (options.simulated_compute != 1) simulated["compute_factor"] = options.simulated_compute;
  return simulated;
}

Result<uint64_t> parse_rate(const std::string& flag, const std::string& text) {
  constexpr std::string_view kPerSecond = "/s";
  bool spelled_out = text.ends_with(kPerSecond);
  std::string size = spelled_out ? text.substr(0, text.size() - kPerSecond.size()) : text;
  Result<uint64_t> rate = parse_size(flag, size);
  if (!rate) return rate.error();
  if (*rate < limits::kSimulatedBytesPerSecond) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: expected at least {} bytes per second, found '{}'", flag,
                             limits::kSimulatedBytesPerSecond, text)};
  }
  return rate;
}

Result<Duration> parse_duration(const std::string& flag, const std::string& text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  constexpr Unit kUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
  double number = 0;
  auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && number >= 0) {
    std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
    for (const Unit& known : kUnits) {
      double value = number * known.seconds;
      if (unit != known.name || value > seconds(limits::kSimulatedDelay)) continue;
      return Duration(static_cast<Duration::rep>(value * 1e9 + 0.5));
    }
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: expected a time such as 3ms, 250us or 1s, at most {} s, found '{}'",
                           flag, seconds(limits::kSimulatedDelay), text)};
}

}  // namespace potluck
