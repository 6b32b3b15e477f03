// Whether steps compute tokens before they are chosen (coordinator/serving/speculation.h). Plain
// values.
#pragma once

#include <cstdint>

namespace potluck {

enum class SpeculationRule : uint8_t {
  kOff,
  kMeasured,  // as far as it makes answers faster
  kAlways,    // all that is proposed, regardless of time
};

// Drafted rows of a step, of all answers. Their logits take memory.
inline constexpr uint32_t kMostDraftedRows = 16;

}  // namespace potluck
