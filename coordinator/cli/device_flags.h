// The flags that say what kind of device computes experts: how it reads its disk, and whether it
// behaves like a slower one than it is. `join` has them for itself; `run`, `eval`, `bench` and
// `serve` pass them on to their local workers. Plain values.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cli/cli11_fwd.h"
#include "engine/base/block_reader.h"
#include "protocol/simulated_link.h"

namespace potluck {

struct DeviceFlags {
  std::string reader = "auto";
  uint32_t read_depth = 0;  // 0: measured
  std::string sim_disk;
  std::string sim_link;
  double sim_compute = 1;
  std::string worker_launcher;  // of those with local workers alone
};

struct DeviceOptions {
  ReaderSettings reader;
  std::optional<LinkSpec> simulated_link;
  double simulated_compute = 1;
};

void add_device_flags(CLI::App* parser, DeviceFlags* flags);

// For the commands that start local workers.
void add_launcher_flag(CLI::App* parser, DeviceFlags* flags);
// Its words; an error unless it names a program by its path.
Result<std::vector<std::string>> launcher_words(const DeviceFlags& flags);

// Checks the flags; errors name the flag, what is allowed and what was found.
Result<DeviceOptions> device_options(const DeviceFlags& flags);

// The same flags for the command line of a `potluck join`.
std::vector<std::string> join_arguments(const DeviceFlags& flags);

// What is simulated, for reports: such figures must not be mistaken for real ones. Null if nothing
// is simulated.
nlohmann::json describe_simulation(const DeviceOptions& options);

}  // namespace potluck
