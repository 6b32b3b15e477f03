// What model is to be made: the same ModelConfig that the engine reads from a file, and what only
// the file has. Presets: one tiny shape for each family and variant, and large ones for
// benchmarks. Plain values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/config.h"

namespace potluck::test {

struct ModelShape {
  ModelConfig config;
  std::string format = "F16";  // of all matrices, or the name of a mix; see format_mix.h
  std::vector<std::string> tensor_formats;  // "PATTERN=FORMAT"; the last that matches wins
  bool joins_projections = false;           // queries, keys and values in one tensor
  bool joins_gate_up = false;               // gate and up of the experts in one tensor
  double skew = 0;                          // Zipf exponent of how often experts are used
  uint64_t seed = 1;
};

struct Preset {
  std::string_view name;
  std::string_view description;
  void (*apply)(ModelShape& shape);
};

std::vector<Preset> presets();

// An unknown name is refused, with the list of known ones.
Result<ModelShape> make_shape(std::string_view preset);

}  // namespace potluck::test
