// RouterRows: the router's logits of the rows of a step, and the experts and weights that each row
// gets by them. Owns its memory. Different rows may be routed by different threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/scratch.h"
#include "engine/model/router.h"
#include "engine/model/rows.h"

namespace potluck {

class RouterRows {
 public:
  // `router` must outlive the object.
  explicit RouterRows(const RouterConfig& router) : router_(router) {}

  // The router's product, to be run before rows are routed; makes room for all that follows.
  Product project_logits(const RouterWeights& weights, const ActivationRows& input, uint32_t rows) {
    grow(probabilities_, uint64_t{rows} * router_.experts);
    grow(scores_, uint64_t{rows} * router_.experts);
    experts_.resize(uint64_t{rows} * router_.top_k);
    weights_.resize(uint64_t{rows} * router_.top_k);
    return project(weights.matrix, input, rows, logits_);
  }
  void route(const KernelTable& kernels, const RouterWeights& weights, uint32_t row) {
    potluck::route(router_, kernels, logits_of(row), {weights.bias, weights.selection_bias},
                   scratch_of(row), experts_of(row), weights_of(row));
  }
  // Weighs the experts that the row has.
  void weigh(const KernelTable& kernels, const RouterWeights& weights, uint32_t row) {
    potluck::weigh(router_, kernels, logits_of(row), {weights.bias, weights.selection_bias},
                   scratch_of(row), experts_of(row), weights_of(row));
  }

  std::span<uint32_t> experts_of(uint32_t row) {
    return {experts_.data() + uint64_t{row} * router_.top_k, router_.top_k};
  }
  std::span<float> weights_of(uint32_t row) {
    return {weights_.data() + uint64_t{row} * router_.top_k, router_.top_k};
  }
  std::span<const uint32_t> experts() const { return experts_; }  // [rows, top_k]
  std::span<const float> weights() const { return weights_; }     // [rows, top_k]

 private:
  std::span<const float> logits_of(uint32_t row) const {
    return {logits_.data() + uint64_t{row} * router_.experts, router_.experts};
  }
  RouterScratch scratch_of(uint32_t row) {
    const uint64_t first = uint64_t{row} * router_.experts;
    return {{probabilities_.data() + first, router_.experts},
            {scores_.data() + first, router_.experts}};
  }

  const RouterConfig& router_;
  std::vector<float> logits_;         // [rows, experts]
  std::vector<float> probabilities_;  // [rows, experts]
  std::vector<float> scores_;         // [rows, experts]
  std::vector<uint32_t> experts_;     // [rows, top_k]
  std::vector<float> weights_;        // [rows, top_k]
};

}  // namespace potluck
