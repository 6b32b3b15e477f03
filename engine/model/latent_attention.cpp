// Latent attention: one compressed vector per position serves all heads as key and as value.
//
//   c = norm(first part of W x), r = rope(last part): the cache holds key [c, r], value c in it;
//                                                    without rope r is as it comes
//   q = W x, or W norm(W x): per head [p, s]
//   score = ([K p, rope(s)] . [c, r]) * scale      K turns a query into one of compressed vectors
//   o = V (softmax(scores) c) per head, then W o
//
// Prefill and decode compute the same: keys and values of the heads are never unfolded.
#include <algorithm>

#include "engine/model/indexer.h"
#include "engine/model/low_rank_queries.h"
#include "engine/model/part_products.h"
#include "engine/model/token_mixer.h"

namespace potluck {
namespace {

class LatentAttentionMixer final : public TokenMixer {
 public:
  LatentAttentionMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        latent_(config_.latent),
        compute_(compute),
        attention_(config_, compute.kernels, compute.threads),
        indexer_(model, compute),
        low_rank_(compute),
        heads_(compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    const LatentWeights& w = weights(layer);
    forms->push_back(w.compress.form());
    forms->push_back(latent_.query_rank > 0 ? w.query_down.form() : w.query.form());
    indexer_.input_forms(layer, forms);
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const LatentWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].latent;
  }
  // Values of one head's query before K.
  uint32_t head_columns() const { return latent_.plain_dimensions + latent_.shared_dimensions; }
  void project_queries(uint32_t layer, const ActivationRows& input, uint32_t rows);
  void store_row(uint32_t layer, const StepRows& rows, uint32_t row);
  void split_heads(const StepRows& rows, uint32_t row);
  // One product for each head.
  void run_heads(const WeightMatrix& matrices, const ActivationRows& x, uint32_t rows, float* y,
                 uint32_t head_stride) {
    const auto matrix_of = [&](uint32_t head) { return matrices.part(head); };
    heads_.run(config_.heads, matrix_of, x.view(matrices.form()), rows, y, head_stride);
  }

  const Model& model_;
  const ModelConfig& config_;
  const LatentConfig& latent_;
  ComputeContext compute_;
  Attention attention_;
  Indexer indexer_;
  LowRankQueries low_rank_;
  PartProducts heads_;
  std::vector<float> projected_;   // [rows, heads, plain then rope]
  std::vector<float> compressed_;  // [rows, rank then rope]
  ActivationRows plain_;           // [rows * heads, plain]
  std::vector<float> queries_;     // [rows, heads, rank then rope]
  ActivationRows attended_;        // [rows * heads, rank]
  ActivationRows values_;          // [rows, heads * value]
};

void LatentAttentionMixer::project_queries(uint32_t layer, const ActivationRows& input,
                                           uint32_t rows) {
  const LatentWeights& w = weights(layer);
  if (latent_.query_rank == 0) {
    const Product inputs[] = {project(w.compress, input, rows, compressed_),
                              project(w.query, input, rows, projected_)};
    return run_products(compute_.threads, compute_.kernels, inputs);
  }
  const Product inputs[] = {project(w.compress, input, rows, compressed_),
                            low_rank_.shrink(w.query_down, input, rows)};
  run_products(compute_.threads, compute_.kernels, inputs);
  indexer_.query_forms(layer, &low_rank_.forms(w.query));
  low_rank_.run(w.query, w.query_down_norm, config_.norm_epsilon, rows, projected_);
}

void LatentAttentionMixer::remember(uint32_t layer, const StepRows& rows,
                                    const ActivationRows& input) {
  const LatentWeights& w = weights(layer);
  project_queries(layer, input, rows.count());
  const ActivationForm form[] = {w.key_up.form()};
  plain_.reset(form, rows.count() * config_.heads, latent_.plain_dimensions);
  grow(queries_, uint64_t{rows.count()} * config_.query_columns());
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    store_row(layer, rows, row);
    split_heads(rows, row);
  });
  run_heads(w.key_up, plain_, rows.count(), queries_.data(), config_.head_dim);
  indexer_.run(layer, rows, input, low_rank_.compressed());
}

void LatentAttentionMixer::store_row(uint32_t layer, const StepRows& rows, uint32_t row) {
  float* key = compressed_.data() + uint64_t{row} * config_.head_dim;
  compute_.kernels.rms_norm(key, weights(layer).compress_norm.data(), latent_.rank,
                            config_.norm_epsilon, key);
  rows.turn(LayerRope::kMain, config_.rope.pairs, row, key + latent_.rank);
  rows.caches[row]->put(layer, 0, rows.rows[row].position, key, nullptr);
}

// Sends the plain part of each head's query to K and the turned part to its place in the query.
void LatentAttentionMixer::split_heads(const StepRows& rows, uint32_t row) {
  for (uint32_t head = 0; head < config_.heads; ++head) {
    uint32_t index = row * config_.heads + head;
    float* from = projected_.data() + uint64_t{index} * head_columns();
    float* turned = from + latent_.plain_dimensions;
    rows.turn(LayerRope::kMain, config_.rope.pairs, row, turned);
    std::copy_n(from, latent_.plain_dimensions, plain_.row(index));
    plain_.quantize_row(compute_.kernels, index);
    std::copy_n(turned, latent_.shared_dimensions,
                queries_.data() + uint64_t{index} * config_.head_dim + latent_.rank);
  }
}

void LatentAttentionMixer::move_row(uint32_t from, uint32_t to) {
  uint64_t columns = config_.query_columns();
  std::copy_n(queries_.data() + from * columns, columns, queries_.data() + to * columns);
  indexer_.move_row(from, to);
}

void LatentAttentionMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const LatentWeights& w = weights(layer);
  uint32_t heads = config_.heads;
  const ActivationForm form[] = {w.value_up.form()};
  attended_.reset(form, rows.count() * heads, latent_.rank);
  attention_.run({layer, 0, {}, indexer_.selection(layer)}, rows.rows, queries_.data(),
                 attended_.row(0));
  for_rows(compute_.threads, rows.count() * heads,
           [&](uint32_t index) { attended_.quantize_row(compute_.kernels, index); });
  const ActivationForm output_form[] = {w.output.form()};
  values_.reset(output_form, rows.count(), heads * latent_.value_dimensions);
  run_heads(w.value_up, attended_, rows.count(), values_.row(0), latent_.value_dimensions);
  for_rows(compute_.threads, rows.count(),
           [&](uint32_t row) { values_.quantize_row(compute_.kernels, row); });
  const Product output[] = {project(w.output, values_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace

std::unique_ptr<TokenMixer> make_latent_attention_mixer(const Model& model,
                                                        const ComputeContext& compute) {
  return std::make_unique<LatentAttentionMixer>(model, compute);
}

}  // namespace potluck
