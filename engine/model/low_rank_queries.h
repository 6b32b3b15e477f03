// LowRankQueries: the queries of attention in two steps of low rank (DeepSeek V2, DeepSeek-AI,
// 2024), of which the first also serves the queries of an indexer:
//
//   r = norm(W_down x);  q = W_up r
//
// Owns scratch memory; one thread (and its pool).
#pragma once

#include <vector>

#include "engine/model/rows.h"

namespace potluck {

class LowRankQueries {
 public:
  explicit LowRankQueries(const ComputeContext& compute) : compute_(compute) {}

  // The first product, to be run with others that read the hidden state.
  Product shrink(const WeightMatrix& down, const ActivationRows& input, uint32_t rows) {
    return project(down, input, rows, down_out_);
  }
  // Forms in which others read r, to be added to before run().
  std::vector<ActivationForm>& forms(const WeightMatrix& up) {
    forms_.assign(1, up.form());
    return forms_;
  }
  // The rest, once the first product was run; queries are grown.
  void run(const WeightMatrix& up, std::span<const float> norm, float epsilon, uint32_t rows,
           std::vector<float>& queries);
  // r, [rows, rank].
  const ActivationRows& compressed() const { return compressed_; }

 private:
  ComputeContext compute_;
  std::vector<float> down_out_;  // [rows, rank]
  ActivationRows compressed_;    // [rows, rank]: normed
  std::vector<ActivationForm> forms_;
};

}  // namespace potluck
