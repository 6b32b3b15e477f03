// The settings of a conversation that its user may change while it goes on. Plain values; pure.
#pragma once

#include <string>
#include <string_view>

#include "coordinator/serving/generator.h"

namespace potluck {

// The bounds of the flags of `run`, too. Far beyond what is of use: at these ends all tokens are
// alike, or none is ever repeated.
inline constexpr double kLargestTemperature = 1000;
inline constexpr double kSmallestPenalty = 0.001;
inline constexpr double kLargestPenalty = 1000;

// "temp 0.7" and the like; errors name the setting, what is allowed and what was found.
Status change_setting(std::string_view words, GenerationRequest* request);
// All of them, as they are.
std::string describe_settings(const GenerationRequest& request);

}  // namespace potluck
