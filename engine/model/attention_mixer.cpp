// Attention with keys and values per KV head:
//
//   q, k, v = W x + bias -> norm of q and k -> rope -> cache -> softmax(q K) V -> (scale) -> (gate)
//   -> W o + bias
//
// In some models values are normed, too, or are made of the products for keys, as they are before
// norm and rope; some layers have queries only, and attend to what an earlier layer has stored.
#include <algorithm>

#include "engine/kernels/exact_math.h"
#include "engine/kernels/state_kernels.h"
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
  uint64_t query_columns() const { return uint64_t{heads_} * head_dim_; }
  uint64_t attended_columns() const { return uint64_t{heads_} * value_dim_; }
  bool stores() const { return config_.kv_layer_of(layer_) == layer_; }
  void take_layer(uint32_t layer);
  uint64_t gate_columns() const;
  void split_gates(uint32_t row);
  void norm_heads(const std::vector<float>& norm, uint32_t heads, float* values) const;
  void finish_heads(const std::vector<float>& norm, const StepRows& rows, uint32_t row,
                    uint32_t heads, float* values) const;
  void finish_queries(const StepRows& rows, uint32_t row);
  void store_row(const StepRows& rows, uint32_t row);
  void scale_values(uint32_t row);
  void apply_gates(uint32_t row);

  const Model& model_;
  const ModelConfig& config_;
  ComputeContext compute_;
  Attention attention_;
  Indexer indexer_;
  // Of the layer at hand.
  uint32_t layer_ = 0;
  uint32_t head_dim_ = 0;
  uint32_t value_dim_ = 0;
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

void AttentionMixer::take_layer(uint32_t layer) {
  layer_ = layer;
  heads_ = config_.heads_of(layer);
  kv_heads_ = config_.kv_heads_of(layer);
  head_dim_ = config_.head_dim_of(layer);
  value_dim_ = config_.value_dim_of(layer);
  rope_ = config_.rope_of(layer);
}

void AttentionMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  take_layer(layer);
  const AttentionWeights& w = weights(layer);
  bool splits = config_.attention_gate == AttentionGate::kInQueries;
  Product inputs[4];
  size_t count = 0;
  auto add = [&](const WeightMatrix& matrix, std::vector<float>& y) {
    if (!matrix.empty()) inputs[count++] = project(matrix, input, rows.count(), y);
  };
  add(w.query, splits ? projected_ : queries_);
  add(w.key, keys_);
  add(w.value, values_);
  add(w.gate, gates_);
  run_products(compute_.threads, compute_.kernels, std::span(inputs).first(count));
  if (splits) {
    grow(queries_, rows.count() * query_columns());
    grow(gates_, rows.count() * query_columns());
  }
  if (w.value.empty()) grow(values_, uint64_t{rows.count()} * kv_heads_ * value_dim_);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    if (splits) split_gates(row);
    finish_queries(rows, row);
    if (stores()) store_row(rows, row);
  });
  indexer_.run(layer, rows, input, input);
}

uint64_t AttentionMixer::gate_columns() const {
  if (config_.attention_gate == AttentionGate::kNone) return 0;
  return config_.attention_gate == AttentionGate::kPerHead ? heads_ : attended_columns();
}

// Every head of a gated query projection is followed by its gates.
void AttentionMixer::split_gates(uint32_t row) {
  uint32_t size = head_dim_;
  const float* from = projected_.data() + 2 * row * query_columns();
  for (uint32_t head = 0; head < heads_; ++head, from += 2 * size) {
    uint64_t to = row * query_columns() + uint64_t{head} * size;
    std::copy_n(from, size, queries_.data() + to);
    std::copy_n(from + size, size, gates_.data() + to);
  }
}

void AttentionMixer::norm_heads(const std::vector<float>& norm, uint32_t heads,
                                float* values) const {
  uint32_t size = head_dim_;
  const KernelTable& kernels = compute_.kernels;
  if (config_.head_norm == HeadNorm::kFullWidth) {
    kernels.rms_norm(values, norm.data(), heads * size, config_.norm_epsilon, values);
  }
  const bool unweighted = config_.head_norm == HeadNorm::kTurnedHeads && rope_ != LayerRope::kNone;
  if (config_.head_norm != HeadNorm::kPerHead && !unweighted) return;
  for (uint32_t head = 0; head < heads; ++head, values += size) {
    kernels.rms_norm(values, unweighted ? nullptr : norm.data(), size, config_.norm_epsilon,
                     values);
  }
}

// Norm and rope of one row's query or key heads.
void AttentionMixer::finish_heads(const std::vector<float>& norm, const StepRows& rows,
                                  uint32_t row, uint32_t heads, float* values) const {
  if (!config_.rope_before_norm) norm_heads(norm, heads, values);
  for (uint32_t head = 0; head < heads; ++head) {
    rows.turn(rope_, config_.rope.pairs, row, values + uint64_t{head} * head_dim_);
  }
  if (config_.rope_before_norm) norm_heads(norm, heads, values);
}

void AttentionMixer::finish_queries(const StepRows& rows, uint32_t row) {
  const AttentionWeights& w = weights(layer_);
  float* query = queries_.data() + row * query_columns();
  add_to(query, w.query_bias);
  finish_heads(w.query_norm, rows, row, heads_, query);
  const QueryTemperature& temperature = config_.query_temperature;
  if (temperature.interval == 0 || rope_ != LayerRope::kNone) return;
  const float factor = temperature.at(rows.rows[row].position);
  for (uint64_t i = 0; i < query_columns(); ++i) query[i] *= factor;
}

// Finishes one row's keys and values, which go into the cache.
void AttentionMixer::store_row(const StepRows& rows, uint32_t row) {
  const AttentionWeights& w = weights(layer_);
  float* key = keys_.data() + uint64_t{row} * kv_heads_ * head_dim_;
  float* value = values_.data() + uint64_t{row} * kv_heads_ * value_dim_;
  add_to(key, w.key_bias);
  if (w.value.empty()) std::copy_n(key, uint64_t{kv_heads_} * value_dim_, value);
  add_to(value, w.value_bias);
  finish_heads(w.key_norm, rows, row, kv_heads_, key);
  for (uint32_t head = 0; head < kv_heads_; ++head, key += head_dim_, value += value_dim_) {
    if (config_.value_norm) {
      compute_.kernels.rms_norm(value, nullptr, value_dim_, config_.norm_epsilon, value);
    }
    rows.caches[row]->put(layer_, head, rows.rows[row].position, key, value);
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
    return state_kernels(compute_.kernels)
        .sigmoid_gate(gates, static_cast<uint32_t>(attended_columns()), values);
  }
  for (uint32_t head = 0; head < heads_; ++head) {
    float factor = exact_sigmoid(gates[head]);
    for (uint32_t i = 0; i < value_dim_; ++i) *values++ *= factor;
  }
}

}  // namespace

std::unique_ptr<TokenMixer> make_attention_mixer(const Model& model,
                                                 const ComputeContext& compute) {
  return std::make_unique<AttentionMixer>(model, compute);
}

}  // namespace potluck
