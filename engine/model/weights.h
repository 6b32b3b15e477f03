// The resident (non-expert) weights of a model, in panel layout, loaded once and then immutable;
// any thread may read them.
#pragma once

#include <vector>

#include "engine/base/buffer.h"
#include "engine/experts/grain_cutter.h"
#include "engine/kernels/panel.h"
#include "engine/model/config.h"

namespace potluck {

// A matrix that owns its panels.
class WeightMatrix {
 public:
  WeightMatrix() = default;
  // The tensor must be a matrix of [rows, columns]; the error names it. It is read and laid out
  // piece by piece, so little more memory is taken than the matrix needs.
  static Result<WeightMatrix> load(const GgufModel& model, const std::string& name, uint32_t rows,
                                   uint32_t columns);

  PanelMatrix view() const { return {shape_, buffer_.data()}; }
  const PanelShape& shape() const { return shape_; }
  // How a product with whole rows of this matrix reads its activations.
  ActivationForm form() const { return block_format(shape_.type).activations; }
  bool empty() const { return buffer_.empty(); }

 private:
  PanelShape shape_;
  Buffer buffer_;
};

// A layer has a router, or a feed-forward part of its own.
struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  WeightMatrix query;                 // [heads * head_dim, hidden]
  WeightMatrix key;                   // [kv_heads * head_dim, hidden]
  WeightMatrix value;                 // [kv_heads * value_dim, hidden]
  std::vector<float> query_norm;      // [head_dim], or empty
  std::vector<float> key_norm;        // [head_dim], or empty
  WeightMatrix attention_output;      // [hidden, heads * value_dim]
  std::vector<float> ffn_norm;        // [hidden]
  WeightMatrix router;                // [experts, hidden], or empty
  WeightMatrix ffn_gate;              // [ffn_width, hidden], or empty
  WeightMatrix ffn_up;                // [ffn_width, hidden], or empty
  WeightMatrix ffn_down;              // [hidden, ffn_width], or empty
};

struct ModelWeights {
  WeightMatrix token_embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [hidden]
  WeightMatrix output;             // [vocabulary, hidden]; empty: the token embedding is used

  const WeightMatrix& output_matrix() const { return output.empty() ? token_embedding : output; }
};

// Loads every tensor that is not an expert's. A tensor that is missing, has another shape than the
// configuration says or has no place in this architecture is an error that names it: leaving one
// out would give fluent nonsense.
Result<ModelWeights> load_weights(const GgufModel& model, const ModelConfig& config,
                                  const Progress& progress);

}  // namespace potluck
