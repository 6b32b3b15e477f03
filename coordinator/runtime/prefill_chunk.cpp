#include "coordinator/runtime/prefill_chunk.h"

#include "engine/base/limits.h"

namespace potluck {

PrefillChunk plan_prefill_chunk(const ModelConfig& config, StepSize step, uint32_t steps,
                                uint64_t free_bytes) {
  const uint64_t planned = step_memory(config, step);
  PrefillChunk chunk{step.rows, step.rows};
  for (uint32_t rows = limits::kPrefillChunk; rows > step.rows; rows /= 2) {
    const uint64_t larger = step_memory(config, {rows, step.logit_rows, step.threads});
    if (steps * (larger - planned) > free_bytes / 2) continue;
    chunk.from_disk = rows;
    break;
  }
  return chunk;
}

}  // namespace potluck
