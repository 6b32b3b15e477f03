// SelectedChunk: what a few positions of a chunk contribute to attention. The definition is that of
// attention.h: neighbors are a run, runs are joined like chunks. The attention kernel computes runs
// of many positions as they stand; many short ones would leave most of its lanes idle, so that
// their keys and values are copied side by side and multiplied as matrices. Both give the same
// bits. Owns scratch memory; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/model/chunk_values.h"

namespace potluck {

class SelectedChunk {
 public:
  // Positions [begin, end) of a chunk.
  struct Run {
    uint32_t begin = 0;
    uint32_t end = 0;
  };

  // Query heads [heads, head_dim], and where what the chunk gives each of them goes: to partials
  // and outputs `stride` of them apart.
  struct Heads {
    const float* queries = nullptr;
    uint32_t count = 0;
    AttentionPartial* partials = nullptr;
    float* outputs = nullptr;  // [stride * value_dim] apart
    uint64_t stride = 0;
  };

  // Runs of neighbors that are visible, in order; there may be none.
  void run(const KernelTable& kernels, const AttentionChunk& chunk, std::span<const Run> runs,
           const Heads& heads);

 private:
  void run_in_place(const KernelTable& kernels, AttentionChunk chunk, const Heads& heads);
  void run_packed(const KernelTable& kernels, const AttentionChunk& chunk, const Heads& heads);
  void pack_keys(const AttentionChunk& chunk);
  void pack_values(const AttentionChunk& chunk);
  bool weigh(const KernelTable& kernels, const AttentionChunk& chunk, const Heads& heads,
             uint32_t head);
  void add_values(const AttentionChunk& chunk, const Heads& heads, uint32_t head);

  std::span<const Run> runs_;
  uint32_t positions_ = 0;  // of all runs
  std::vector<AttentionQuery> queries_;
  std::vector<AttentionPartial> parts_;  // [heads, runs]
  std::vector<float> outputs_;           // [heads, runs, value_dim]
  std::vector<float> attention_scratch_;
  ChunkValues chunk_values_;
  std::vector<float> keys_;     // panels of [positions, head_dim]
  std::vector<float> values_;   // panels of [value_dim, positions]
  std::vector<float> scores_;   // [heads, positions]; then exp(score - largest of the run)
  std::vector<float> factors_;  // [heads, runs]: exp(largest of the run - largest of all)
  std::vector<float> sum_;      // [value_dim]
};

}  // namespace potluck
