// The gated delta net: attention whose memory is a matrix per head instead of keys and values. Each
// token decays the matrix S [key_dim, value_dim] and corrects what it holds under the token's key:
//
//   q, k, v = silu(convolution over the last tokens of W x);  z = W x
//   q = q / |q| / sqrt(key_dim);  k = k / |k|;  |x| = sqrt(sum of x^2 + 1e-6)
//   g = exp(softplus(W x + bias) * decay);  b = sigmoid(W x)
//   S = g S;  d = (v - k S) b;  S = S + k d;  o = q S          sums over key_dim in sequence
//   out = W (norm(o) * silu(z))
//
// How tokens follow each other is in recurrent_rows.h.
#include <algorithm>
#include <cmath>

#include "engine/model/recurrent_rows.h"
#include "engine/model/softplus.h"
#include "engine/model/unit_length.h"

namespace potluck {
namespace {

class DeltaNetMixer final : public TokenMixer {
 public:
  DeltaNetMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        delta_(config_.delta),
        compute_(compute),
        recurrent_(config_.recurrent_shape(), compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    const DeltaNetWeights& w = weights(layer);
    for (const WeightMatrix* matrix : {&w.mixed, &w.gate, &w.beta_alpha, &w.beta, &w.alpha}) {
      if (!matrix->empty()) forms->push_back(matrix->form());
    }
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const DeltaNetWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].delta;
  }
  void run_projections(const DeltaNetWeights& w, const ActivationRows& input, uint32_t rows);
  void convolve(const DeltaNetWeights& w, uint32_t row);
  float beta(uint32_t row, uint32_t head) const;
  float alpha(uint32_t row, uint32_t head) const;

  const Model& model_;
  const ModelConfig& config_;
  const DeltaNetConfig& delta_;
  ComputeContext compute_;
  RecurrentRows recurrent_;
  std::vector<float> gates_;       // [rows, value_heads * value_dim]: z
  std::vector<float> beta_alpha_;  // [rows, key_heads, betas then alphas], or
  std::vector<float> beta_;        // [rows, value_heads] and
  std::vector<float> alpha_;       // [rows, value_heads]
  ActivationRows gated_;           // [rows, value_heads * value_dim]
};

void DeltaNetMixer::run_projections(const DeltaNetWeights& w, const ActivationRows& input,
                                    uint32_t rows) {
  bool joined = delta_.joined_beta_alpha;
  recurrent_.reset(rows);
  const Product inputs[] = {
      {w.mixed.view(), input.view(w.mixed.form()), recurrent_.input(0), delta_.channels()},
      project(w.gate, input, rows, gates_),
      joined ? project(w.beta_alpha, input, rows, beta_alpha_)
             : project(w.beta, input, rows, beta_),
      joined ? Product{} : project(w.alpha, input, rows, alpha_)};
  run_products(compute_.threads, compute_.kernels, std::span(inputs).first(joined ? 3 : 4));
}

// Convolution and silu of one row, the lengths of its queries and keys, decays and betas.
void DeltaNetMixer::convolve(const DeltaNetWeights& w, uint32_t row) {
  float* y = recurrent_.convolve(w.convolution, row);
  recurrent_.kernels().silu(y, delta_.channels());
  auto size = static_cast<float>(delta_.key_dim);
  for (uint32_t head = 0; head < 2 * delta_.key_heads; ++head) {
    bool is_query = head < delta_.key_heads;  // divided by sqrt(key_dim) once more
    scale_length(compute_.kernels, y + uint64_t{head} * delta_.key_dim, delta_.key_dim,
                 is_query ? 1.0F / size : 1.0F / std::sqrt(size));
  }
  for (uint32_t head = 0; head < delta_.value_heads; ++head) {
    float time = softplus(alpha(row, head) + w.decay_bias[head]);
    recurrent_.decays(row)[head] = exact_exp(time * w.decay[head]);
    recurrent_.betas(row)[head] = exact_sigmoid(beta(row, head));
  }
}

float DeltaNetMixer::beta(uint32_t row, uint32_t head) const {
  if (!delta_.joined_beta_alpha) return beta_[uint64_t{row} * delta_.value_heads + head];
  // ssm_ba of Qwen3-Next: per key head the betas of its value heads, then their alphas.
  uint32_t group = delta_.value_heads / delta_.key_heads;
  uint64_t first = uint64_t{row} * 2 * delta_.value_heads + head / group * 2 * group;
  return beta_alpha_[first + head % group];
}

float DeltaNetMixer::alpha(uint32_t row, uint32_t head) const {
  if (!delta_.joined_beta_alpha) return alpha_[uint64_t{row} * delta_.value_heads + head];
  uint32_t group = delta_.value_heads / delta_.key_heads;
  uint64_t first = uint64_t{row} * 2 * delta_.value_heads + head / group * 2 * group;
  return beta_alpha_[first + group + head % group];
}

void DeltaNetMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  const DeltaNetWeights& w = weights(layer);
  run_projections(w, input, rows.count());
  recurrent_.begin(layer, rows);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) { convolve(w, row); });
  recurrent_.advance();
}

void DeltaNetMixer::move_row(uint32_t from, uint32_t to) {
  uint64_t columns = delta_.value_columns();
  std::copy_n(recurrent_.output(from), columns, recurrent_.output(to));
  std::copy_n(gates_.data() + from * columns, columns, gates_.data() + to * columns);
}

void DeltaNetMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const DeltaNetWeights& w = weights(layer);
  uint32_t columns = delta_.value_columns();
  const ActivationForm form[] = {w.output.form()};
  gated_.reset(form, rows.count(), columns);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    float* o = recurrent_.output(row);
    for (uint32_t head = 0; head < delta_.value_heads; ++head) {
      float* values = o + uint64_t{head} * delta_.value_dim;
      compute_.kernels.rms_norm(values, w.norm.data(), delta_.value_dim, config_.norm_epsilon,
                                values);
    }
    compute_.kernels.swiglu(gates_.data() + uint64_t{row} * columns, o, columns, gated_.row(row));
    gated_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, gated_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace

std::unique_ptr<TokenMixer> make_delta_net_mixer(const Model& model,
                                                 const ComputeContext& compute) {
  return std::make_unique<DeltaNetMixer>(model, compute);
}

}  // namespace potluck
