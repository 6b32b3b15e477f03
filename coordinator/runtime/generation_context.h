// GenerationContext: what a generation works with. The runtime owns all of it; it outlives every
// generation. Used by the thread that takes its steps.
#pragma once

#include "engine/base/clock.h"
#include "engine/model/forward.h"

namespace potluck {

struct GenerationContext {
  const Model& model;
  Forward& forward;
  ExpertExecutor& executor;
  const Clock& clock;
};

}  // namespace potluck
