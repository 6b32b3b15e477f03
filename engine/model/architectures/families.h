// The model families: one function each, in a file of the family's name, and one row here. Internal
// to engine/model; pure functions, any thread.
#pragma once

#include "engine/model/config.h"

// What the file says in general.architecture, and who reads such a file.
// clang-format off
#define POTLUCK_FAMILIES(ROW) \
  ROW("afmoe", read_afmoe_config)                   \
  ROW("bailingmoe2", read_bailingmoe2_config)       \
  ROW("cohere2moe", read_cohere2moe_config)         \
  ROW("deepseek2", read_deepseek2_config)           \
  ROW("deepseek32", read_deepseek32_config)         \
  ROW("deepseek4", read_deepseek4_config)           \
  ROW("dots1", read_dots1_config)                   \
  ROW("ernie4_5-moe", read_ernie4_5_moe_config)     \
  ROW("exaone-moe", read_exaone_moe_config)         \
  ROW("gemma4", read_gemma4_config)                 \
  ROW("glm-dsa", read_glm_dsa_config)               \
  ROW("glm4moe", read_glm4moe_config)               \
  ROW("gpt-oss", read_gpt_oss_config)               \
  ROW("granitehybrid", read_granitehybrid_config)   \
  ROW("granitemoe", read_granitemoe_config)         \
  ROW("hunyuan-moe", read_hunyuan_moe_config)       \
  ROW("hy_v3", read_hy_v3_config)                   \
  ROW("kimi-linear", read_kimi_linear_config)       \
  ROW("lfm2moe", read_lfm2moe_config)               \
  ROW("llama", read_llama_config)                   \
  ROW("llama4", read_llama4_config)                 \
  ROW("mimo2", read_mimo2_config)                   \
  ROW("minimax-m2", read_minimax_m2_config)         \
  ROW("minimax-m3", read_minimax_m3_config)         \
  ROW("mistral4", read_mistral4_config)             \
  ROW("nemotron_h_moe", read_nemotron_h_moe_config) \
  ROW("olmoe", read_olmoe_config)                   \
  ROW("phimoe", read_phimoe_config)                 \
  ROW("qwen2moe", read_qwen2moe_config)             \
  ROW("qwen3", read_qwen3_config)                   \
  ROW("qwen35moe", read_qwen35moe_config)           \
  ROW("qwen3moe", read_qwen3moe_config)             \
  ROW("qwen3next", read_qwen3next_config)           \
  ROW("qwen3vlmoe", read_qwen3vlmoe_config)         \
  ROW("smallthinker", read_smallthinker_config)     \
  ROW("step35", read_step35_config)
// clang-format on

namespace potluck {

#define POTLUCK_FAMILY_READER(name, read) Result<ModelConfig> read(const GgufModel& model);
POTLUCK_FAMILIES(POTLUCK_FAMILY_READER)
#undef POTLUCK_FAMILY_READER

}  // namespace potluck
