// Attention with keys and values per KV head:
//
//   q, k, v = W x + bias -> norm of q and k -> rope -> cache -> softmax(q K) V -> (gate) -> W o +
//   bias
#include <algorithm>

#include "engine/kernels/exact_math.h"
#include "engine/model/token_mixer.h"

namespace potluck {
namespace {

class AttentionMixer final : public TokenMixer {
 public:
  AttentionMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        compute_(compute),
        attention_(config_, compute.kernels, compute.threads) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    const AttentionWeights& w = weights(layer);
    for (const WeightMatrix* matrix : {&w.query, &w.key, &w.value})
      forms->push_back(matrix->form());
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const AttentionWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].attention;
  }
  uint64_t columns() const { return config_.query_columns(); }
  void split_gates(uint32_t row);
  void finish_heads(const std::vector<float>& norm, const StepRows& rows, uint32_t row,
                    uint32_t heads, float* values) const;
  void store_row(uint32_t layer, const StepRows& rows, uint32_t row);
  void apply_gates(uint32_t row);

  const Model& model_;
  const ModelConfig& config_;
  ComputeContext compute_;
  Attention attention_;
  std::vector<float> projected_;  // [rows, heads, queries then gates], gated attention only
  std::vector<float> gates_;      // [rows, heads * head_dim], likewise
  std::vector<float> queries_;    // [rows, heads * head_dim]
  std::vector<float> keys_;       // [rows, kv_heads * head_dim]
  std::vector<float> values_;     // [rows, kv_heads * value_dim]
  ActivationRows attended_;       // [rows, heads * value_dim]
};

void AttentionMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  const AttentionWeights& w = weights(layer);
  bool gated = config_.gated_attention;
  const Product inputs[] = {project(w.query, input, rows.count(), gated ? projected_ : queries_),
                            project(w.key, input, rows.count(), keys_),
                            project(w.value, input, rows.count(), values_)};
  run_products(compute_.threads, compute_.kernels, inputs);
  if (gated) {
    grow(queries_, rows.count() * columns());
    grow(gates_, rows.count() * columns());
  }
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    if (gated) split_gates(row);
    store_row(layer, rows, row);
  });
}

// Every head of a gated query projection is followed by its gates.
void AttentionMixer::split_gates(uint32_t row) {
  uint32_t size = config_.head_dim;
  const float* from = projected_.data() + 2 * row * columns();
  for (uint32_t head = 0; head < config_.heads; ++head, from += 2 * size) {
    uint64_t to = row * columns() + uint64_t{head} * size;
    std::copy_n(from, size, queries_.data() + to);
    std::copy_n(from + size, size, gates_.data() + to);
  }
}

// Norm and rope of one row's query or key heads.
void AttentionMixer::finish_heads(const std::vector<float>& norm, const StepRows& rows,
                                  uint32_t row, uint32_t heads, float* values) const {
  uint32_t size = config_.head_dim;
  const KernelTable& kernels = compute_.kernels;
  if (config_.head_norm == HeadNorm::kFullWidth) {
    kernels.rms_norm(values, norm.data(), heads * size, config_.norm_epsilon, values);
  }
  for (uint32_t head = 0; head < heads; ++head, values += size) {
    if (config_.head_norm == HeadNorm::kPerHead) {
      kernels.rms_norm(values, norm.data(), size, config_.norm_epsilon, values);
    }
    rows.turn(config_.rope.pairs, row, values);
  }
}

// Finishes one row's queries, keys and values; the keys and values go into the cache.
void AttentionMixer::store_row(uint32_t layer, const StepRows& rows, uint32_t row) {
  const AttentionWeights& w = weights(layer);
  float* query = queries_.data() + row * columns();
  float* key = keys_.data() + uint64_t{row} * config_.key_columns();
  float* value = values_.data() + uint64_t{row} * config_.value_columns();
  add_to(query, w.query_bias);
  add_to(key, w.key_bias);
  add_to(value, w.value_bias);
  finish_heads(w.query_norm, rows, row, config_.heads, query);
  finish_heads(w.key_norm, rows, row, config_.kv_heads, key);
  for (uint32_t head = 0; head < config_.kv_heads; ++head) {
    rows.caches[row]->put(layer, head, rows.rows[row].position, key + head * config_.head_dim,
                          value + head * config_.value_dim);
  }
}

void AttentionMixer::move_row(uint32_t from, uint32_t to) {
  for (std::vector<float>* values : {&queries_, &gates_}) {
    if (values->empty()) continue;
    std::copy_n(values->data() + from * columns(), columns(), values->data() + to * columns());
  }
}

void AttentionMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const AttentionWeights& w = weights(layer);
  const ActivationForm form[] = {w.output.form()};
  attended_.reset(form, rows.count(), config_.attention_columns());
  attention_.run({layer, config_.window(layer), w.sinks}, rows.rows, queries_.data(),
                 attended_.row(0));
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    if (config_.gated_attention) apply_gates(row);
    attended_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, attended_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
  if (w.output_bias.empty()) return;
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    add_to(out.data() + uint64_t{row} * config_.hidden, w.output_bias);
  });
}

void AttentionMixer::apply_gates(uint32_t row) {
  float* values = attended_.row(row);
  const float* gates = gates_.data() + row * columns();
  for (uint64_t i = 0; i < columns(); ++i) values[i] *= exact_sigmoid(gates[i]);
}

}  // namespace

std::unique_ptr<TokenMixer> make_attention_mixer(const Model& model,
                                                 const ComputeContext& compute) {
  return std::make_unique<AttentionMixer>(model, compute);
}

}  // namespace potluck
