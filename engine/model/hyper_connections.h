// HyperConnections: instead of one residual a row has n streams X_1 .. X_n, which each part of a
// layer reads, mixes and adds to as the row itself says (Zhu et al., 2024; with mixing matrices
// whose rows and columns sum to 1: Xie et al., 2025; DeepSeek V4). All streams begin as the
// embedding. Before a part, with f = all streams side by side / root of their mean square:
//
//   [p, o, c] = W f                         n, n and n * n numbers; s and b: scales and a base
//   pre = sigmoid(p s_0 + b) + eps          the part reads  sum over i of pre_i X_i
//   post = 2 sigmoid(o s_1 + b)
//   C = softmax of each row of (c s_2 + b), + eps; then columns / (their sum + eps); then
//       iterations - 1 times rows, then columns
//
// and after the part has given y:  X_j = post_j y + sum over i of C_ij X_i, i in sequence. The last
// norm reads sum of pre_i X_i likewise, with weights of its own. Owns scratch memory; one thread
// (and its pool).
#pragma once

#include <vector>

#include "engine/kernels/state_kernels.h"
#include "engine/model/rows.h"

namespace potluck {

class HyperConnections {
 public:
  // Both must outlive the object.
  HyperConnections(const ModelConfig& config, const ComputeContext& compute)
      : config_(config),
        hyper_(config.hyper),
        compute_(compute),
        states_(state_kernels(compute.kernels)) {}

  // streams [rows, n, hidden] -> inputs [rows, hidden], which is grown. The weights must stay until
  // the last write().
  void read(const HyperWeights& weights, uint32_t rows, const float* streams,
            std::vector<float>& inputs);
  // Row `from` of read() becomes row `to`.
  void move_row(uint32_t from, uint32_t to);
  // What the part gave of a row [hidden] goes to the row's streams [n, hidden], as the last read()
  // says; once for each row. Different rows may be written by different threads.
  void write(uint32_t row, const float* output, float* streams);

 private:
  // Of a row: p, then pre; o and c, from which post and C are made where they are needed: not by
  // those that only read. Of the last norm there is only p.
  uint32_t numbers() const { return static_cast<uint32_t>(weights_->base.size()); }
  float* numbers_of(uint32_t row) { return numbers_.data() + uint64_t{row} * numbers(); }
  void weigh_streams(float* numbers) const;
  void mix_numbers(float* numbers) const;
  void balance(float* matrix) const;

  const ModelConfig& config_;
  const HyperConfig& hyper_;
  ComputeContext compute_;
  const StateKernels& states_;
  const HyperWeights* weights_ = nullptr;  // of the last read()
  ActivationRows normed_;                  // [rows, n * hidden]
  std::vector<float> numbers_;             // [rows, numbers()]
};

}  // namespace potluck
