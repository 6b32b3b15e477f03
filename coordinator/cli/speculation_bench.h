// What speculation brings here: answers with it and without, one after the other. A plain function;
// the runtime's thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "coordinator/runtime/runtime.h"

namespace potluck {

// Tokens of the prompts, at most.
inline constexpr uint32_t kSpeculationPrompt = 192;

// Of text that repeats itself, and of text that does not: tokens a second with and without, and
// their ratio in pairs of answers of so many tokens: median, least and most.
Result<nlohmann::json> measure_speculation(Runtime& runtime, uint32_t tokens);

}  // namespace potluck
