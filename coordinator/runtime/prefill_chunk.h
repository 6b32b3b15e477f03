// PrefillChunk: how many tokens of a prompt a step takes. A step of a few dozen tokens already
// needs nearly all experts, so where these come from disks every step reads nearly the whole model:
// the more of the prompt it takes, the less is read. In memory a larger step brings nothing, and
// the others wait longer for their turn. Changes no result. Plain value; any thread.
#pragma once

#include <cstdint>

#include "engine/model/config.h"
#include "engine/model/step_memory.h"

namespace potluck {

struct PrefillChunk {
  static constexpr uint32_t kUsual = 512;

  static PrefillChunk exactly(uint32_t rows) { return {rows, rows}; }

  uint32_t in_memory = kUsual;
  uint32_t from_disk = kUsual;

  uint32_t rows(bool uses_disks) const { return uses_disks ? from_disk : in_memory; }
};

// The chunk where the user has not chosen one. `step` is the usual one, of which `steps` are under
// way at a time at most; half of `free_bytes` may be spent on larger ones.
PrefillChunk plan_prefill_chunk(const ModelConfig& config, StepSize step, uint32_t steps,
                                uint64_t free_bytes);

}  // namespace potluck
