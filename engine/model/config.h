// ModelConfig: every difference between architectures that numbers and switches can say, read from
// a GGUF file and checked against limits.h. Plain value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/experts/expert_bank.h"
#include "engine/gguf/gguf.h"

namespace potluck {

struct RouterConfig {
  uint32_t experts = 0;  // 0: a dense model
  uint32_t top_k = 0;
  bool normalize_weights = true;  // the chosen weights are divided by their sum
};

struct ModelConfig {
  std::string architecture;  // general.architecture
  std::string name;          // general.name, or the file's name
  uint32_t layers = 0;
  uint32_t hidden = 0;
  uint32_t vocabulary = 0;
  uint32_t trained_context = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;   // of queries and keys
  uint32_t value_dim = 0;  // of values
  float norm_epsilon = 0;
  uint32_t rope_dimensions = 0;  // the first so many of a head are rotated
  double rope_base = 0;
  RouterConfig router;
  uint32_t expert_width = 0;

  uint32_t query_columns() const { return heads * head_dim; }
  uint32_t group_size() const { return heads / kv_heads; }  // query heads per KV head
};

// One row per architecture: how its configuration and experts are read. Weights and the order of
// operations are in engine/model/architectures/.
struct Architecture {
  std::string_view name;
  Result<ModelConfig> (*read_config)(const GgufModel& model);
};

std::span<const Architecture> architectures();

// Reads and checks the configuration. An unknown architecture is refused by name, with the list of
// known ones.
Result<ModelConfig> read_config(const GgufModel& model);

// The expert banks of all MoE layers, checked.
Result<std::vector<ExpertBank>> find_expert_banks(const GgufModel& model,
                                                  const ModelConfig& config);

}  // namespace potluck
