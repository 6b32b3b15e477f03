// Attention with keys and values per KV head:
//
//   q, k, v = W x + bias -> norm of q and k -> rope -> cache -> softmax(q K) V -> (scale) -> (gate)
//   -> W o + bias
#include <algorithm>

#include "engine/kernels/exact_math.h"
#include "engine/model/indexer.h"
#include "engine/model/token_mixer.h"

namespace potluck {
namespace {

class AttentionMixer final : public TokenMixer {
 public:
  AttentionMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        compute_(compute),
        attention_(config_, compute.kernels, compute.threads),
        indexer_(model, compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    const AttentionWeights& w = weights(layer);
    for (const WeightMatrix* matrix : {&w.query, &w.key, &w.value, &w.gate}) {
      if (!matrix->empty()) forms->push_back(matrix->form());
    }
    indexer_.input_forms(layer, forms);
    indexer_.query_forms(layer, forms);
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const AttentionWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].attention;
  }
  uint64_t query_columns() const { return uint64_t{heads_} * config_.head_dim; }
  uint64_t attended_columns() const { return uint64_t{heads_} * config_.value_dim; }
  uint64_t gate_columns() const;
  void split_gates(uint32_t row);
  void norm_heads(const std::vector<float>& norm, uint32_t heads, float* values) const;
  void finish_heads(const std::vector<float>& norm, const StepRows& rows, uint32_t row,
                    uint32_t heads, float* values) const;
  void store_row(uint32_t layer, const StepRows& rows, uint32_t row);
  void scale_values(uint32_t row);
  void apply_gates(uint32_t row);

  const Model& model_;
  const ModelConfig& config_;
  ComputeContext compute_;
  Attention attention_;
  Indexer indexer_;
  // Of the layer at hand.
  uint32_t heads_ = 0;
  uint32_t kv_heads_ = 0;
  LayerRope rope_ = LayerRope::kMain;
  std::vector<float> projected_;  // [rows, heads, queries then gates], if they come together
  std::vector<float> gates_;      // [rows, gate columns], gated attention only
  std::vector<float> queries_;    // [rows, heads * head_dim]
  std::vector<float> keys_;       // [rows, kv_heads * head_dim]
  std::vector<float> values_;     // [rows, kv_heads * value_dim]
  ActivationRows attended_;       // [rows, heads * value_dim]
};

void AttentionMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  const AttentionWeights& w = weights(layer);
  heads_ = config_.heads_of(layer);
  kv_heads_ = config_.kv_heads_of(layer);
  rope_ = config_.rope_of(layer);
  bool splits = config_.attention_gate == AttentionGate::kInQueries;
  bool has_gate = !w.gate.empty();
  const Product inputs[] = {project(w.query, input, rows.count(), splits ? projected_ : queries_),
                            project(w.key, input, rows.count(), keys_),
                            project(w.value, input, rows.count(), values_),
                            has_gate ? project(w.gate, input, rows.count(), gates_) : Product{}};
  run_products(compute_.threads, compute_.kernels, std::span(inputs).first(has_gate ? 4 : 3));
  if (splits) {
    grow(queries_, rows.count() * query_columns());
    grow(gates_, rows.count() * query_columns());
  }
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    if (splits) split_gates(row);
    store_row(layer, rows, row);
  });
  indexer_.run(layer, rows, input, input);
}

uint64_t AttentionMixer::gate_columns() const {
  if (config_.attention_gate == AttentionGate::kNone) return 0;
  return config_.attention_gate == AttentionGate::kPerHead ? heads_ : attended_columns();
}

// Every head of a gated query projection is followed by its gates.
void AttentionMixer::split_gates(uint32_t row) {
  uint32_t size = config_.head_dim;
  const float* from = projected_.data() + 2 * row * query_columns();
  for (uint32_t head = 0; head < heads_; ++head, from += 2 * size) {
    uint64_t to = row * query_columns() + uint64_t{head} * size;
    std::copy_n(from, size, queries_.data() + to);
    std::copy_n(from + size, size, gates_.data() + to);
  }
}

void AttentionMixer::norm_heads(const std::vector<float>& norm, uint32_t heads,
                                float* values) const {
  uint32_t size = config_.head_dim;
  const KernelTable& kernels = compute_.kernels;
  if (config_.head_norm == HeadNorm::kFullWidth) {
    kernels.rms_norm(values, norm.data(), heads * size, config_.norm_epsilon, values);
  }
  if (config_.head_norm != HeadNorm::kPerHead) return;
  for (uint32_t head = 0; head < heads; ++head, values += size) {
    kernels.rms_norm(values, norm.data(), size, config_.norm_epsilon, values);
  }
}

// Norm and rope of one row's query or key heads.
void AttentionMixer::finish_heads(const std::vector<float>& norm, const StepRows& rows,
                                  uint32_t row, uint32_t heads, float* values) const {
  if (!config_.rope_before_norm) norm_heads(norm, heads, values);
  for (uint32_t head = 0; head < heads; ++head) {
    rows.turn(rope_, config_.rope.pairs, row, values + uint64_t{head} * config_.head_dim);
  }
  if (config_.rope_before_norm) norm_heads(norm, heads, values);
}

// Finishes one row's queries, keys and values; the keys and values go into the cache.
void AttentionMixer::store_row(uint32_t layer, const StepRows& rows, uint32_t row) {
  const AttentionWeights& w = weights(layer);
  float* query = queries_.data() + row * query_columns();
  float* key = keys_.data() + uint64_t{row} * kv_heads_ * config_.head_dim;
  float* value = values_.data() + uint64_t{row} * kv_heads_ * config_.value_dim;
  add_to(query, w.query_bias);
  add_to(key, w.key_bias);
  add_to(value, w.value_bias);
  finish_heads(w.query_norm, rows, row, heads_, query);
  finish_heads(w.key_norm, rows, row, kv_heads_, key);
  for (uint32_t head = 0; head < kv_heads_; ++head) {
    rows.caches[row]->put(layer, head, rows.rows[row].position, key + head * config_.head_dim,
                          value + head * config_.value_dim);
  }
}

void AttentionMixer::move_row(uint32_t from, uint32_t to) {
  auto move = [&](std::vector<float>& values, uint64_t columns) {
    std::copy_n(values.data() + from * columns, columns, values.data() + to * columns);
  };
  move(queries_, query_columns());
  move(gates_, gate_columns());
  indexer_.move_row(from, to);
}

void AttentionMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const AttentionWeights& w = weights(layer);
  const ActivationForm form[] = {w.output.form()};
  attended_.reset(form, rows.count(), static_cast<uint32_t>(attended_columns()));
  attention_.run({layer, config_.window(layer), w.sinks, indexer_.selection(layer)}, rows.rows,
                 queries_.data(), attended_.row(0));
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    scale_values(row);
    apply_gates(row);
    attended_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, attended_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
  if (w.output_bias.empty()) return;
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    add_to(out.data() + uint64_t{row} * config_.hidden, w.output_bias);
  });
}

void AttentionMixer::scale_values(uint32_t row) {
  if (config_.value_scale == 1) return;
  float* values = attended_.row(row);
  for (uint64_t i = 0; i < attended_columns(); ++i) values[i] *= config_.value_scale;
}

void AttentionMixer::apply_gates(uint32_t row) {
  if (gate_columns() == 0) return;
  float* values = attended_.row(row);
  const float* gates = gates_.data() + row * gate_columns();
  if (config_.attention_gate != AttentionGate::kPerHead) {
    for (uint64_t i = 0; i < attended_columns(); ++i) values[i] *= exact_sigmoid(gates[i]);
    return;
  }
  for (uint32_t head = 0; head < heads_; ++head) {
    float factor = exact_sigmoid(gates[head]);
    for (uint32_t i = 0; i < config_.value_dim; ++i) *values++ *= factor;
  }
}

}  // namespace

std::unique_ptr<TokenMixer> make_attention_mixer(const Model& model,
                                                 const ComputeContext& compute) {
  return std::make_unique<AttentionMixer>(model, compute);
}

}  // namespace potluck
