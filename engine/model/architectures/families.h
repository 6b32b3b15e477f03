// The model families: one function each, in a file of the family's name. Internal to engine/model;
// pure functions, any thread.
#pragma once

#include "engine/model/config.h"

namespace potluck {

Result<ModelConfig> read_qwen3_config(const GgufModel& model);
Result<ModelConfig> read_qwen3moe_config(const GgufModel& model);

}  // namespace potluck
