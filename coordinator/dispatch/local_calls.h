// LocalCalls: what is left of a batch to the coordinator itself, handed out a few experts at a
// time. Plain value; one thread.
#pragma once

#include <span>
#include <vector>

#include "coordinator/dispatch/row_calls.h"
#include "engine/experts/expert_compute.h"

namespace potluck {

class LocalCalls {
 public:
  // Calls handed out at once (whole experts, at least one): messages are handled in between.
  static constexpr size_t kAtOnce = 256;

  // An empty list, for its memory.
  explicit LocalCalls(RowCalls memory = {}) : calls_(std::move(memory)) {}

  bool empty() const { return calls_.empty(); }
  void add(std::span<const RowCall> calls);

  struct Part {
    std::vector<ExpertCall> calls;  // slices that stand side by side are one range of grains
    uint64_t unit_calls = 0;        // so many calls of units went into them
  };
  // The next experts', by expert and row.
  Part take(const ChunkPlan& plan, uint32_t slices);

  RowCalls take_memory() { return std::move(calls_); }

 private:
  // Sorted when it is taken from, not when it is added to.
  RowCalls calls_;
  bool sorted_ = true;
};

}  // namespace potluck
