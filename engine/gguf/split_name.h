// Names of split GGUF files: "model-00001-of-00003.gguf". Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace potluck {

struct SplitName {
  std::string prefix;   // "model"
  uint32_t number = 0;  // 1-based
  uint32_t parts = 0;
};

// Nothing when the path is not named like a part; number and parts are as written, unchecked.
std::optional<SplitName> parse_split_name(const std::string& path);

// The path of part `number` (1-based) of the same model.
std::string split_path(const SplitName& name, uint32_t number);

}  // namespace potluck
