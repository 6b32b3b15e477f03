// ModelConfig: every difference between architectures that numbers and switches can say, read from
// a GGUF file and checked against limits.h. Plain value; any thread.
#pragma once

#include <cstdint>
#include <span>
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
  uint32_t head_dim = 0;        // of queries and keys
  uint32_t value_dim = 0;       // of values
  float attention_scale = 0;    // scores are (q . k) * attention_scale
  bool query_key_norm = false;  // an RMS norm over every head of queries and keys
  float norm_epsilon = 0;
  uint32_t rope_dimensions = 0;  // the first so many of a head are rotated, half split
  double rope_base = 0;
  RouterConfig router;
  uint32_t expert_width = 0;  // of the routed experts; 0 in a dense model
  uint32_t ffn_width = 0;     // of the feed-forward part of a dense layer; 0 if there is none

  uint32_t query_columns() const { return heads * head_dim; }
  uint32_t key_columns() const { return kv_heads * head_dim; }
  uint32_t value_columns() const { return kv_heads * value_dim; }
  uint32_t attention_columns() const { return heads * value_dim; }
  uint32_t group_size() const { return heads / kv_heads; }  // query heads per KV head
  bool has_experts(uint32_t layer) const { return layer < layers && router.experts > 0; }
};

// One row per architecture: how its configuration is read. Each lives in a file of its own in
// engine/model/architectures/; all that follows (weights, banks, forward) goes by the ModelConfig.
struct Architecture {
  std::string_view name;
  Result<ModelConfig> (*read_config)(const GgufModel& model);
};

std::span<const Architecture> architectures();

// Reads and checks the configuration. An unknown architecture is refused by name, with the list of
// known ones.
Result<ModelConfig> read_config(const GgufModel& model);

// What engine and limits ask of any configuration; read_config() has done it. The error names the
// number and what it must be.
Status check_config(const ModelConfig& config);

// The expert banks of all MoE layers, checked.
Result<std::vector<ExpertBank>> find_expert_banks(const GgufModel& model,
                                                  const ModelConfig& config);

}  // namespace potluck
