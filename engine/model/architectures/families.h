// The model families: one function each, in a file of the family's name. Internal to engine/model;
// pure functions, any thread.
#pragma once

#include "engine/model/config.h"

namespace potluck {

Result<ModelConfig> read_deepseek2_config(const GgufModel& model);
Result<ModelConfig> read_glm4moe_config(const GgufModel& model);
Result<ModelConfig> read_gpt_oss_config(const GgufModel& model);
Result<ModelConfig> read_granitemoe_config(const GgufModel& model);
Result<ModelConfig> read_llama_config(const GgufModel& model);
Result<ModelConfig> read_minimax_m2_config(const GgufModel& model);
Result<ModelConfig> read_olmoe_config(const GgufModel& model);
Result<ModelConfig> read_qwen2moe_config(const GgufModel& model);
Result<ModelConfig> read_qwen3_config(const GgufModel& model);
Result<ModelConfig> read_qwen35moe_config(const GgufModel& model);
Result<ModelConfig> read_qwen3moe_config(const GgufModel& model);
Result<ModelConfig> read_qwen3next_config(const GgufModel& model);

}  // namespace potluck
