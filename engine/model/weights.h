// The resident (non-expert) weights of a model, in panel layout, loaded once and then immutable;
// any thread may read them.
#pragma once

#include <vector>

#include "engine/base/buffer.h"
#include "engine/experts/grain_cutter.h"
#include "engine/kernels/panel.h"
#include "engine/model/config.h"
#include "engine/model/token_experts.h"

namespace potluck {

// A matrix that owns its panels, or several of one shape (one per head).
class WeightMatrix {
 public:
  WeightMatrix() = default;
  // The tensor must be a matrix of [rows, columns], or of [parts, rows, columns] with rows that are
  // a multiple of kPanelRows; the error names it. It is read and laid out piece by piece, so little
  // more memory is taken than the matrix needs.
  static Result<WeightMatrix> load(const GgufModel& model, const std::string& name, uint32_t rows,
                                   uint32_t columns, uint32_t parts = 1);

  // Some rows of a matrix that several share: [first, first + rows) of `all`.
  struct Share {
    uint32_t first = 0;
    uint32_t rows = 0;
    uint32_t all = 0;
  };
  static Result<WeightMatrix> load_share(const GgufModel& model, const std::string& name,
                                         const Share& share, uint32_t columns);

  // The same checks, and the memory that load() would take for good, without reading the tensor.
  static Result<uint64_t> measure(const GgufModel& model, const std::string& name, uint32_t rows,
                                  uint32_t columns, uint32_t parts = 1);

  // All parts, one below the other.
  PanelMatrix view() const { return {shape_, buffer_.data(), scale_}; }
  PanelMatrix part(uint32_t index) const;
  const PanelShape& shape() const { return shape_; }
  // How a product with whole rows of this matrix reads its activations.
  ActivationForm form() const { return block_format(shape_.type).activations; }
  bool empty() const { return buffer_.empty(); }
  // All values times this, as files in NVFP4 have it.
  void set_scale(float scale) { scale_ = scale; }

 private:
  static Result<WeightMatrix> pack(const GgufModel& model, const GgufTensor& tensor,
                                   uint32_t first_row, uint32_t rows);

  PanelShape shape_;
  uint32_t parts_ = 1;
  float scale_ = 1;
  Buffer buffer_;
};

// Vectors and matrices that a model does not have are empty.
// Heads are those of the layer.
struct AttentionWeights {
  WeightMatrix
      query;         // [heads * head_dim, hidden]; gated: [heads, head_dim, then as many of gates]
  WeightMatrix key;  // [kv_heads * head_dim, hidden]
  WeightMatrix value;              // [kv_heads * value_dim, hidden]
  WeightMatrix gate;               // [heads * value_dim or heads, hidden]
  std::vector<float> query_bias;   // [heads * head_dim]
  std::vector<float> key_bias;     // [kv_heads * head_dim]
  std::vector<float> value_bias;   // [kv_heads * value_dim]
  std::vector<float> query_norm;   // [head_dim], or [heads * head_dim]
  std::vector<float> key_norm;     // [head_dim], or [kv_heads * head_dim]
  std::vector<float> sinks;        // [heads]
  WeightMatrix output;             // [hidden, heads * value_dim]
  std::vector<float> output_bias;  // [hidden]
};

struct LatentWeights {
  WeightMatrix query_down;             // [query_rank, hidden]; empty: query reads the hidden state
  std::vector<float> query_down_norm;  // [query_rank]
  WeightMatrix query;                  // [heads * (plain + rope), query_rank or hidden]
  WeightMatrix compress;               // [rank + rope, hidden]
  std::vector<float> compress_norm;    // [rank]
  WeightMatrix key_up;                 // per head [rank, plain]: a query becomes one of latents
  WeightMatrix value_up;               // per head [value, rank]
  WeightMatrix output;                 // [hidden, heads * value]
};

struct IndexerWeights {
  WeightMatrix query;                // [heads * dimensions, hidden or query_rank]
  WeightMatrix key;                  // [dimensions, hidden]
  WeightMatrix weights;              // [heads, hidden]
  std::vector<float> query_norm;     // [dimensions]
  std::vector<float> key_norm;       // [dimensions]
  std::vector<float> key_norm_bias;  // [dimensions]
};

// Of what compresses positions to entries; see compressor.h.
struct CompressorWeights {
  WeightMatrix values;         // [width, hidden]
  WeightMatrix gates;          // [width, hidden]
  std::vector<float> offsets;  // [ratio, width], of the gates
  std::vector<float> norm;     // [dimensions]

  bool empty() const { return values.empty(); }
};

struct GroupedOutputWeights {
  std::vector<WeightMatrix> groups;  // [groups] of [rank, heads * head_dim / groups]
  WeightMatrix output;               // [hidden, groups * rank]
};

struct CompressedAttentionWeights {
  WeightMatrix query_down;             // [query_rank, hidden]
  std::vector<float> query_down_norm;  // [query_rank]
  WeightMatrix query;                  // [heads * head_dim, query_rank]
  WeightMatrix key;                    // [head_dim, hidden]: of values, too
  std::vector<float> key_norm;         // [head_dim]
  std::vector<float> sinks;            // [heads]
  CompressorWeights entries;           // of layers that have entries
  CompressorWeights index_keys;        // of those with an indexer
  GroupedOutputWeights output;
};

// Of one part of a layer, or of the last norm, whose numbers are fewer; see hyper_connections.h.
struct HyperWeights {
  WeightMatrix matrix;       // [numbers, streams * hidden]
  std::vector<float> scale;  // [3 or 1]
  std::vector<float> base;   // [numbers]: streams * (streams + 2), or streams
};

struct DeltaNetWeights {
  WeightMatrix mixed;              // [channels, hidden]: queries, keys, values
  WeightMatrix gate;               // [value_heads * value_dim, hidden]
  WeightMatrix beta_alpha;         // [key_heads, then betas and alphas of its value heads; hidden]
  WeightMatrix beta;               // [value_heads, hidden], instead of beta_alpha
  WeightMatrix alpha;              // [value_heads, hidden], likewise
  std::vector<float> convolution;  // [convolution, channels], oldest token first
  std::vector<float> decay;        // [value_heads]: negative
  std::vector<float> decay_bias;   // [value_heads]
  std::vector<float> norm;         // [value_dim]
  WeightMatrix output;             // [hidden, value_heads * value_dim]
};

struct ShortConvolutionWeights {
  WeightMatrix input;              // [3 * hidden, hidden]: b, c, z
  std::vector<float> convolution;  // [convolution, hidden], oldest token first
  WeightMatrix output;             // [hidden, hidden]
};

struct MambaWeights {
  WeightMatrix input;                   // [inner + channels + heads, hidden]: z, x B C, time steps
  std::vector<float> convolution;       // [convolution, channels], oldest token first
  std::vector<float> convolution_bias;  // [channels]
  std::vector<float> decay;             // [heads]: negative
  std::vector<float> time_bias;         // [heads]
  std::vector<float> skip;              // [heads]
  std::vector<float> norm;              // [inner], group by group
  WeightMatrix output;                  // [hidden, inner]
};

struct KimiDeltaWeights {
  WeightMatrix query;  // [heads * head_dim, hidden], as are key and value
  WeightMatrix key;
  WeightMatrix value;
  std::vector<float> convolution;  // [convolution, queries then keys then values], oldest first
  WeightMatrix decay_down;         // [head_dim, hidden]
  WeightMatrix decay_up;           // [heads * head_dim, head_dim]
  std::vector<float> decay_bias;   // [heads * head_dim]
  std::vector<float> decay;        // [heads]: negative
  WeightMatrix beta;               // [heads, hidden]
  WeightMatrix gate_down;          // [head_dim, hidden]
  WeightMatrix gate_up;            // [heads * head_dim, head_dim]
  std::vector<float> norm;         // [head_dim]
  WeightMatrix output;             // [hidden, heads * head_dim]
};

// A dense layer's feed-forward part, or the expert that every token goes to.
struct FeedForwardWeights {
  WeightMatrix gate;         // [width, hidden]; empty where the activation has none
  WeightMatrix up;           // [width, hidden]
  WeightMatrix down;         // [hidden, width]
  WeightMatrix output_gate;  // [1, hidden]: the output is multiplied by sigmoid of it

  bool empty() const { return up.empty(); }
};

struct RouterWeights {
  WeightMatrix matrix;                // [experts, hidden]
  std::vector<float> bias;            // [experts]
  std::vector<float> selection_bias;  // [experts]; finite
  std::vector<float> input_norm;      // [hidden]: over sqrt(hidden); what the router reads
  TokenExperts by_token;              // or experts are not chosen

  bool empty() const { return matrix.empty(); }
};

// What a layer adds of the token itself; see per_layer_inputs.h.
struct PerLayerWeights {
  WeightMatrix gate;        // [per_layer_width, hidden]
  WeightMatrix output;      // [hidden, per_layer_width]
  std::vector<float> norm;  // [hidden]
};

// At most one of the mixers is there. A layer has a router, or a feed-forward part of its own, or
// neither.
struct LayerWeights {
  std::vector<float> mixer_norm;       // [hidden]
  std::vector<float> mixer_norm_bias;  // [hidden]
  std::vector<float> mixer_post_norm;  // [hidden]: of what the mixer adds to the residual
  AttentionWeights attention;
  LatentWeights latent;
  DeltaNetWeights delta;
  ShortConvolutionWeights short_convolution;
  MambaWeights mamba;
  KimiDeltaWeights kimi;
  CompressedAttentionWeights compressed;
  IndexerWeights indexer;
  HyperWeights mixer_hyper;          // around the mixer
  HyperWeights ffn_hyper;            // around experts or a feed-forward part
  std::vector<float> ffn_norm;       // [hidden]; empty in a parallel block
  std::vector<float> ffn_norm_bias;  // [hidden]
  std::vector<float> ffn_post_norm;  // [hidden]
  RouterWeights router;
  WeightMatrix latent_down;  // [latent_width, hidden]: what routed experts read
  WeightMatrix latent_up;    // [hidden, latent_width]: what becomes of their sum
  FeedForwardWeights dense;
  FeedForwardWeights shared;            // or the dense part beside experts
  std::vector<float> shared_post_norm;  // [hidden]: of what that part gives
  std::vector<float> expert_norm;       // [hidden]: of what routed experts read
  std::vector<float> expert_post_norm;  // [hidden]: of their sum
  PerLayerWeights per_layer;
  std::vector<float> output_scale;  // [1]: of the residual after the layer
};

struct ModelWeights {
  WeightMatrix token_embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  HyperWeights output_hyper;            // before the last norm
  std::vector<float> output_norm;       // [hidden]
  std::vector<float> output_norm_bias;  // [hidden]
  WeightMatrix output;                  // [vocabulary, hidden]; empty: the token embedding is used
  std::vector<float> output_bias;       // [vocabulary]
  WeightMatrix per_layer_embedding;     // [vocabulary, layers * per_layer_width]
  WeightMatrix per_layer_projection;    // [layers * per_layer_width, hidden]
  std::vector<float> per_layer_norm;    // [per_layer_width]
  std::vector<float> rope_divisors;     // [rope dimensions / 2] of the frequencies; above 0
  std::vector<float> long_divisors;     // likewise, where RopeConfig::takes_long() says so

  const WeightMatrix& output_matrix() const { return output.empty() ? token_embedding : output; }
};

// Whether a tensor takes no part in reading and writing text: layers that predict tokens ahead, and
// what sees or hears. Such tensors are left where they are.
bool is_skipped(const ModelConfig& config, std::string_view tensor);

// Loads every tensor that is not an expert's. A tensor that is missing, has another shape than the
// configuration says or has no place in this architecture is an error that names it: leaving one
// out would give fluent nonsense.
Result<ModelWeights> load_weights(const GgufModel& model, const ModelConfig& config,
                                  const Progress& progress);

// What load_weights() would take of memory for good: the same walk over the tensors with the same
// errors, but nothing of them is read.
Result<uint64_t> measure_weights(const GgufModel& model, const ModelConfig& config);

}  // namespace potluck
