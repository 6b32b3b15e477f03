// What check_config() is made of beside check_config.cpp itself: ranges, and the checks of single
// parts of a configuration. Internal to engine/model; pure functions, any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/model/config.h"

namespace potluck {

struct ConfigRange {
  std::string_view what;
  uint32_t value;
  uint32_t low;
  uint32_t high;
};

// An error names the first value outside of its range.
Status check_ranges(std::span<const ConfigRange> ranges);
Error unsupported(std::string message);

Status check_compressed(const ModelConfig& config);
Status check_hyper(const ModelConfig& config);

// Values of a layer's state that are the compressors' (recurrent_shape.h).
uint32_t kept_of_compressors(const ModelConfig& config);

}  // namespace potluck
