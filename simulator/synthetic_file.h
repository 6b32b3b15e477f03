// SyntheticFile: a GGUF file of the Qwen3-MoE family that exists on no disk: its header is made of
// a shape, and its weights are computed when they are read. Float weights are drawn from the seed,
// so that a small one is a whole model; blocks of other formats read as zeros, so that one of
// hundreds of gigabytes has sizes and nothing else. Immutable once made; any thread.
#pragma once

#include <memory>
#include <string>

#include "engine/base/storage.h"
#include "engine/kernels/block_format.h"

namespace potluck::sim {

struct SyntheticShape {
  std::string name = "synthetic";
  uint32_t layers = 4;
  uint32_t hidden = 64;
  uint32_t heads = 4;
  uint32_t kv_heads = 2;
  uint32_t head_dim = 32;
  uint32_t vocabulary = 256;
  uint32_t experts = 8;
  uint32_t top_k = 2;
  uint32_t expert_width = 128;
  TensorType format = TensorType::kF32;  // of all matrices
  uint64_t seed = 1;
};

// The path at which the storage has the file.
inline constexpr const char* kSyntheticPath = "/synthetic.gguf";

// A storage that holds the file and refuses everything else.
std::unique_ptr<Storage> synthetic_storage(const SyntheticShape& shape);

}  // namespace potluck::sim
