// ExpertChoice: which experts the rows of a step go to in one layer, with what weights, and what
// router and experts read. In most models both read the normed residual, as the dense part does.
// Others differ:
//
//   router: the layer's input without a norm (SmallThinker), or an RMS norm of the residual by
//           weights of its own (Gemma 4)
//   experts: another norm of the residual than the dense part (Gemma 4), or the same one times the
//           one chosen expert's weight, which then is 1 (Llama 4)
//
// Owns its rows and scratch memory; one thread (and its pool).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/router_rows.h"

namespace potluck {

// What a layer's router reads of the residual x, [hidden].
void fill_router_input(const ModelConfig& config, const KernelTable& kernels,
                       const LayerWeights& weights, const float* x, float* y);

class ExpertChoice {
 public:
  // Both must outlive the object.
  ExpertChoice(const Model& model, const ComputeContext& compute)
      : model_(model), config_(model.config()), compute_(compute), routed_(config_.router) {}

  // Begins a layer with experts. Adds the forms in which the rows that the whole feed-forward part
  // reads are needed, and makes room for rows of its own.
  void begin(uint32_t layer, uint32_t rows, std::vector<ActivationForm>* forms);

  // Then for each row, by any of the pool's threads: the residual before the mixer's output is
  // added and after it, `common` being its norm for the whole part; returns what experts read of
  // it, before a weight multiplies it. A row that failed is cleared before it is finished.
  void read_layer_input(uint32_t row, const float* x);
  const float* read_residual(uint32_t row, const float* x, const float* common);
  void clear_row(uint32_t row);
  void finish_row(uint32_t row);

  // Then for all rows, which read these tokens: chooses, or takes what a table says of them.
  void run(const ActivationRows& common, std::span<const TokenId> tokens);
  // Whether the row's logits had an order; if not, its weights are 0.
  bool is_good(uint32_t row) const { return good_[row] != 0; }
  std::span<const uint32_t> experts() const { return routed_.experts(); }  // [rows, top_k]
  std::span<const float> weights() const { return routed_.weights(); }     // [rows, top_k]
  const ActivationRows& expert_rows(const ActivationRows& common) const {
    return has_expert_rows_ ? expert_rows_ : common;
  }

 private:
  const LayerWeights& layer() const { return model_.weights().layers[layer_]; }
  void choose(uint32_t row, TokenId token);
  void apply_weights(const ActivationRows& common, uint32_t row);

  const Model& model_;
  const ModelConfig& config_;
  ComputeContext compute_;
  uint32_t layer_ = 0;
  bool has_router_rows_ = false;
  bool has_expert_rows_ = false;
  ActivationRows router_rows_;  // [rows, hidden], where they differ from the common ones
  ActivationRows expert_rows_;  // [rows, hidden], likewise
  RouterRows routed_;
  std::vector<uint8_t> good_;  // [rows]
};

}  // namespace potluck
