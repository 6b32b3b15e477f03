// Kimi Delta Attention (Kimi Linear, 2025): the gated delta net with a decay for each dimension of
// a head's key instead of one for the head.
//
//   q, k, v = silu(convolution over the last tokens of W x)
//   q = q / |q| / sqrt(head_dim);  k = k / |k|;  |x| = sqrt(sum of x^2 + 1e-6)
//   g = exp(softplus(U D x + bias) * a)      a < 0, one per head;  b = sigmoid(W x)
//   S = diag(g) S;  d = (v - k S) b;  S = S + k d;  o = q S
//   out = W (norm(o) * sigmoid(U D x))
//
// U D are products of two narrow matrices. How tokens follow each other is in recurrent_rows.h.
#include <algorithm>
#include <cmath>

#include "engine/model/recurrent_rows.h"
#include "engine/model/softplus.h"
#include "engine/model/unit_length.h"

namespace potluck {
namespace {

class KimiDeltaMixer final : public TokenMixer {
 public:
  KimiDeltaMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        kimi_(config_.kimi),
        compute_(compute),
        recurrent_(config_.recurrent_shape(), compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    const KimiDeltaWeights& w = weights(layer);
    for (const WeightMatrix* matrix :
         {&w.query, &w.key, &w.value, &w.decay_down, &w.beta, &w.gate_down}) {
      forms->push_back(matrix->form());
    }
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const KimiDeltaWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].kimi;
  }
  void run_projections(const KimiDeltaWeights& w, const ActivationRows& input, uint32_t rows);
  void widen(const std::vector<float>& from, uint32_t rows, const WeightMatrix& up,
             ActivationRows& narrow);
  void prepare_heads(const KimiDeltaWeights& w, uint32_t row);

  const Model& model_;
  const ModelConfig& config_;
  const KimiDeltaConfig& kimi_;
  ComputeContext compute_;
  RecurrentRows recurrent_;
  std::vector<float> decay_down_;  // [rows, head_dim]
  std::vector<float> gate_down_;   // [rows, head_dim]
  ActivationRows narrow_decays_;   // the same, as products read them
  ActivationRows narrow_gates_;
  std::vector<float> times_;  // [rows, heads * head_dim]
  std::vector<float> gates_;  // [rows, heads * head_dim]
  std::vector<float> betas_;  // [rows, heads]
  ActivationRows gated_;      // [rows, heads * head_dim]
};

// `narrow` becomes the rows of `from`, as `up` reads them.
void KimiDeltaMixer::widen(const std::vector<float>& from, uint32_t rows, const WeightMatrix& up,
                           ActivationRows& narrow) {
  const ActivationForm form[] = {up.form()};
  narrow.reset(form, rows, kimi_.head_dim);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    std::copy_n(from.data() + uint64_t{row} * kimi_.head_dim, kimi_.head_dim, narrow.row(row));
    narrow.quantize_row(compute_.kernels, row);
  });
}

void KimiDeltaMixer::run_projections(const KimiDeltaWeights& w, const ActivationRows& input,
                                     uint32_t rows) {
  recurrent_.reset(rows);
  uint32_t columns = kimi_.columns();
  uint64_t stride = recurrent_.shape().channels;
  float* channels = recurrent_.input(0);
  const Product inputs[] = {
      {w.query.view(), input.view(w.query.form()), channels, stride, {}},
      {w.key.view(), input.view(w.key.form()), channels + columns, stride, {}},
      {w.value.view(), input.view(w.value.form()), channels + 2 * uint64_t{columns}, stride, {}},
      project(w.decay_down, input, rows, decay_down_),
      project(w.gate_down, input, rows, gate_down_),
      project(w.beta, input, rows, betas_)};
  run_products(compute_.threads, compute_.kernels, inputs);
  widen(decay_down_, rows, w.decay_up, narrow_decays_);
  widen(gate_down_, rows, w.gate_up, narrow_gates_);
  const Product wide[] = {project(w.decay_up, narrow_decays_, rows, times_),
                          project(w.gate_up, narrow_gates_, rows, gates_)};
  run_products(compute_.threads, compute_.kernels, wide);
}

// Convolution and silu of one row, the lengths of its queries and keys, decays and betas.
void KimiDeltaMixer::prepare_heads(const KimiDeltaWeights& w, uint32_t row) {
  float* y = recurrent_.convolve(w.convolution, row);
  recurrent_.kernels().silu(y, recurrent_.shape().channels);
  auto size = static_cast<float>(kimi_.head_dim);
  for (uint32_t head = 0; head < 2 * kimi_.heads; ++head) {
    bool is_query = head < kimi_.heads;  // divided by sqrt(head_dim) once more
    scale_length(compute_.kernels, y + uint64_t{head} * kimi_.head_dim, kimi_.head_dim,
                 is_query ? 1.0F / size : 1.0F / std::sqrt(size));
  }
  const float* times = times_.data() + uint64_t{row} * kimi_.columns();
  float* decays = recurrent_.decays(row);
  for (uint32_t i = 0; i < kimi_.columns(); ++i) {
    decays[i] = exact_exp(softplus(times[i] + w.decay_bias[i]) * w.decay[i / kimi_.head_dim]);
  }
  for (uint32_t head = 0; head < kimi_.heads; ++head) {
    recurrent_.betas(row)[head] = exact_sigmoid(betas_[uint64_t{row} * kimi_.heads + head]);
  }
}

void KimiDeltaMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  const KimiDeltaWeights& w = weights(layer);
  run_projections(w, input, rows.count());
  recurrent_.begin(layer, rows);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) { prepare_heads(w, row); });
  recurrent_.advance();
}

void KimiDeltaMixer::move_row(uint32_t from, uint32_t to) {
  uint64_t columns = kimi_.columns();
  std::copy_n(recurrent_.output(from), columns, recurrent_.output(to));
  std::copy_n(gates_.data() + from * columns, columns, gates_.data() + to * columns);
}

void KimiDeltaMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const KimiDeltaWeights& w = weights(layer);
  uint32_t columns = kimi_.columns();
  const ActivationForm form[] = {w.output.form()};
  gated_.reset(form, rows.count(), columns);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    float* gated = gated_.row(row);
    for (uint32_t head = 0; head < kimi_.heads; ++head) {
      uint64_t first = uint64_t{head} * kimi_.head_dim;
      compute_.kernels.rms_norm(recurrent_.output(row) + first, w.norm.data(), kimi_.head_dim,
                                config_.norm_epsilon, gated + first);
    }
    const float* gates = gates_.data() + uint64_t{row} * columns;
    recurrent_.kernels().sigmoid_gate(gates, columns, gated);
    gated_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, gated_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace

std::unique_ptr<TokenMixer> make_kimi_delta_mixer(const Model& model,
                                                  const ComputeContext& compute) {
  return std::make_unique<KimiDeltaMixer>(model, compute);
}

}  // namespace potluck
