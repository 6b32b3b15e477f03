// What the layer loop and the executor beside it take of memory while they compute: scratch that
// grows with the rows of a step. An upper bound from the configuration alone, so that a model that
// will not fit is known before anything is read. Pure; any thread.
#pragma once

#include <cstdint>

#include "engine/model/config.h"

namespace potluck {

struct StepSize {
  uint32_t rows = 1;        // of the largest step: the prefill chunk
  uint32_t logit_rows = 1;  // of them, those that want logits
  uint32_t threads = 1;
};

uint64_t step_memory(const ModelConfig& config, const StepSize& step);

}  // namespace potluck
