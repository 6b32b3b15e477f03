// GrainCompute: the arithmetic of one grain over some token rows, in one thread; ExpertCompute
// gives each of its threads one. Owns scratch memory that is sized once. Internal to
// engine/experts.
#pragma once

#include <span>
#include <vector>

#include "engine/experts/executor.h"
#include "engine/experts/expert_shape.h"
#include "engine/kernels/kernels.h"

namespace potluck {

// The hidden vectors, [tokens, hidden], as gate and as up read them.
struct GrainInput {
  ActivationView gate;
  ActivationView up;
  std::span<const int32_t> fraction_bits;  // [tokens]
};

// Token rows that a grain is applied to, and the weight of its expert for each.
struct WeightedRows {
  const uint32_t* rows = nullptr;  // [count], into the input
  const float* weights = nullptr;  // [count]
  uint32_t count = 0;
};

// The fixed-point sums of one thread. Rows are zeroed when they are first touched, so that a thread
// with few rows does not pay for the others.
class PartialSums {
 public:
  // Sums of its own for `tokens` rows, none touched yet.
  void begin(uint32_t tokens, uint32_t hidden);
  // Adds into `out` itself instead: for one of the threads.
  void begin_in(ExpertSums* out, uint32_t hidden);

  int64_t* row(uint32_t row);  // [hidden]
  void set_flag(uint32_t row) { flags_[row] = 1; }
  // Adds the row, if it was touched, to `out`.
  void add_row_to(uint32_t row, ExpertSums* out) const;

 private:
  uint32_t hidden_ = 0;
  int64_t* sums_ = nullptr;         // own_sums_, or out's
  uint8_t* flags_ = nullptr;        // own_flags_, or out's
  std::vector<int64_t> own_sums_;   // [tokens, hidden]
  std::vector<uint8_t> own_flags_;  // [tokens]
  std::vector<uint8_t> touched_;    // [tokens]; empty where the sums are out's
};

class GrainCompute {
 public:
  explicit GrainCompute(const KernelTable& kernels) : kernels_(&kernels) {}

  // Adds weight * expert(row) for the columns of this grain to the rows' sums. `grain` holds
  // layouts[index].used_bytes at least.
  void run(const ShapeTables& tables, uint32_t index, ByteSpan grain, const GrainInput& input,
           const WeightedRows& rows, PartialSums& sums);

 private:
  struct Tile;  // the grain and up to kTokenTile rows
  void project(const Tile& tile, const PanelMatrix& matrix, uint64_t bias_offset,
               const ActivationView& x, std::vector<float>* y);
  void activate(const Tile& tile, const DownChunk& chunk);
  void add_down(const Tile& tile, const DownChunk& chunk, uint64_t bias_offset, PartialSums& sums);

  const KernelTable* kernels_;
  std::vector<float> gate_;     // [tile, columns of the grain]
  std::vector<float> up_;       // [tile, columns of the grain]
  std::vector<float> row_;      // [columns of a chunk]: one token's h before it is quantized
  ActivationBuffer activated_;  // [tile, columns of a chunk]: h as down reads it
  std::vector<float> output_;   // [tile, some rows of down]
};

}  // namespace potluck
