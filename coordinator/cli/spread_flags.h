// How `serve` finds a model that was spread, or begins to spread one, and where such models are
// kept. Plain functions; one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/cli/commands.h"
#include "coordinator/spread/spread_model.h"

namespace potluck {

struct SpreadFlags {
  bool spread = false;
  std::string ca_file;
  std::string window;
};

void add_spread_flags(CLI::App* parser, SpreadFlags* flags);

// The folder that holds a folder for each model that was spread.
std::string spread_models_directory();

// Null where MODEL is a file that is served as it is. `replicas` 0: not given.
Result<std::unique_ptr<SpreadModel>> find_spread_model(const std::string& model,
                                                       const SpreadFlags& flags, uint32_t replicas,
                                                       const Environment& environment);

}  // namespace potluck
