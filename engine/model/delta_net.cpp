// The gated delta net: attention whose memory is a matrix per head instead of keys and values. Each
// token decays the matrix S [key_dim, value_dim] and corrects what it holds under the token's key:
//
//   q, k, v = silu(convolution over the last tokens of W x);  z = W x
//   q = q / |q| / sqrt(key_dim);  k = k / |k|;  |x| = sqrt(sum of x^2 + 1e-6)
//   g = exp(softplus(W x + bias) * decay);  b = sigmoid(W x)
//   S = g S;  d = (v - k S) b;  S = S + k d;  o = q S          sums over key_dim in sequence
//   out = W (norm(o) * silu(z))
//
// Tokens go one after the other, in prefill too, so a prompt may be cut anywhere. Threads split
// value heads.
#include <algorithm>
#include <cmath>

#include "engine/kernels/exact_math.h"
#include "engine/model/delta_rule.h"
#include "engine/model/token_mixer.h"

namespace potluck {
namespace {

constexpr float kLengthEpsilon = 1e-6F;

// log(1 + exp(x)). Above 20 the 1 is lost in float32 anyway.
float softplus(float x) {
  if (x > 20.0F) return x;
  return static_cast<float>(exact_log64(1.0 + exact_exp64(x)));
}

class DeltaNetMixer final : public TokenMixer {
 public:
  DeltaNetMixer(const Model& model, const ComputeContext& compute)
      : model_(model), config_(model.config()), delta_(config_.delta), compute_(compute) {}

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
  // Rows of one session: [first, end).
  struct Run {
    uint32_t first = 0;
    uint32_t end = 0;
    RecurrentState::Versions state;
  };

  const DeltaNetWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].delta;
  }
  float* convolved_row(uint32_t row) {
    return convolved_.data() + uint64_t{row} * delta_.channels();
  }
  void run_projections(const DeltaNetWeights& w, const ActivationRows& input, uint32_t rows);
  void plan_runs(uint32_t layer, const StepRows& rows);
  const float* past_input(const Run& run, uint32_t row, uint32_t back) const;
  void convolve(const DeltaNetWeights& w, const Run& run, uint32_t row);
  void keep_history(const Run& run);
  void advance_head(const DeltaNetWeights& w, const Run& run, uint32_t head);
  float beta(uint32_t row, uint32_t head) const;
  float alpha(uint32_t row, uint32_t head) const;

  const Model& model_;
  const ModelConfig& config_;
  const DeltaNetConfig& delta_;
  ComputeContext compute_;
  std::vector<Run> runs_;
  std::vector<uint32_t> run_of_row_;  // [rows]
  std::vector<float> mixed_;          // [rows, channels]: inputs of the convolution
  std::vector<float> convolved_;      // [rows, channels]: queries, keys, values
  std::vector<float> gates_;          // [rows, value_heads * value_dim]: z
  std::vector<float> beta_alpha_;     // [rows, key_heads, betas then alphas], or
  std::vector<float> beta_;           // [rows, value_heads] and
  std::vector<float> alpha_;          // [rows, value_heads]
  std::vector<float> outputs_;        // [rows, value_heads * value_dim]: o
  ActivationRows gated_;              // [rows, value_heads * value_dim]
};

void DeltaNetMixer::run_projections(const DeltaNetWeights& w, const ActivationRows& input,
                                    uint32_t rows) {
  bool joined = delta_.joined_beta_alpha;
  const Product inputs[] = {project(w.mixed, input, rows, mixed_),
                            project(w.gate, input, rows, gates_),
                            joined ? project(w.beta_alpha, input, rows, beta_alpha_)
                                   : project(w.beta, input, rows, beta_),
                            joined ? Product{} : project(w.alpha, input, rows, alpha_)};
  run_products(compute_.threads, compute_.kernels, std::span(inputs).first(joined ? 3 : 4));
}

void DeltaNetMixer::plan_runs(uint32_t layer, const StepRows& rows) {
  runs_.clear();
  run_of_row_.resize(rows.count());
  // Rows of one session are neighbors and in order of position: each run advances one state.
  for (uint32_t row = 0; row < rows.count(); ++row) {
    if (row == 0 || rows.caches[row] != rows.caches[row - 1]) runs_.push_back({row, row, {}});
    runs_.back().end = row + 1;
    run_of_row_[row] = static_cast<uint32_t>(runs_.size() - 1);
  }
  for (Run& run : runs_) {
    KvCache& cache = *rows.caches[run.first];
    cache.settle(compute_.threads);
    run.state = cache.advance(layer, rows.rows[run.end - 1].position + 1);
  }
}

// The convolution's input `back` tokens before `row` (which may be the end of the run).
const float* DeltaNetMixer::past_input(const Run& run, uint32_t row, uint32_t back) const {
  if (row - run.first >= back) return mixed_.data() + uint64_t{row - back} * delta_.channels();
  uint32_t before = back - (row - run.first);  // the start of the run: 1 is the newest
  return run.state.before + uint64_t{delta_.convolution - 1 - before} * delta_.channels();
}

// Convolution and silu of one row, and the lengths of its queries and keys.
void DeltaNetMixer::convolve(const DeltaNetWeights& w, const Run& run, uint32_t row) {
  uint32_t channels = delta_.channels();
  float* y = convolved_row(row);
  std::fill_n(y, channels, 0.0F);
  // Oldest token first, as the contract adds them; channels are independent, so they may be
  // vectors.
  for (uint32_t tap = 0; tap < delta_.convolution; ++tap) {
    const float* x = past_input(run, row, delta_.convolution - 1 - tap);
    const float* factors = w.convolution.data() + uint64_t{tap} * channels;
    for (uint32_t c = 0; c < channels; ++c) y[c] += x[c] * factors[c];
  }
  for (uint32_t c = 0; c < channels; ++c) y[c] = exact_silu(y[c]);
  // The norm divides by the root of the mean instead of the sum: a factor of sqrt(key_dim).
  auto size = static_cast<float>(delta_.key_dim);
  float to_length = 1.0F / std::sqrt(size);
  for (uint32_t head = 0; head < 2 * delta_.key_heads; ++head) {
    float* values = y + uint64_t{head} * delta_.key_dim;
    compute_.kernels.rms_norm(values, nullptr, delta_.key_dim, kLengthEpsilon / size, values);
    float factor = head < delta_.key_heads ? 1.0F / size : to_length;
    for (uint32_t i = 0; i < delta_.key_dim; ++i) values[i] *= factor;
  }
  if (RecurrentInputs log = run.state.log.row(row - run.first)) {
    std::copy_n(past_input(run, row, 0), channels, log.mixed);
    std::copy_n(y + delta_.key_columns(), delta_.key_columns(), log.keys);
    std::copy_n(y + 2 * delta_.key_columns(), delta_.value_columns(), log.values);
  }
}

void DeltaNetMixer::keep_history(const Run& run) {
  for (uint32_t back = 1; back < delta_.convolution; ++back) {
    const float* input = past_input(run, run.end, back);
    float* to = run.state.after + uint64_t{delta_.convolution - 1 - back} * delta_.channels();
    std::copy_n(input, delta_.channels(), to);
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

void DeltaNetMixer::advance_head(const DeltaNetWeights& w, const Run& run, uint32_t head) {
  uint64_t size = uint64_t{delta_.key_dim} * delta_.value_dim;
  const float* before = run.state.before + delta_.history_values() + head * size;
  float* after = run.state.after + delta_.history_values() + head * size;
  uint64_t key_offset = uint64_t{delta_.key_head_of(head)} * delta_.key_dim;
  for (uint32_t row = run.first; row < run.end; ++row) {
    float* channels = convolved_row(row);
    DeltaStep step{delta_.key_dim,
                   delta_.value_dim,
                   exact_exp(softplus(alpha(row, head) + w.decay_bias[head]) * w.decay[head]),
                   exact_sigmoid(beta(row, head)),
                   channels + key_offset,
                   channels + delta_.key_columns() + key_offset,
                   channels + 2 * delta_.key_columns() + uint64_t{head} * delta_.value_dim};
    if (RecurrentInputs log = run.state.log.row(row - run.first)) {
      log.decays[head] = step.decay;
      log.betas[head] = step.beta;
    }
    step.run(before, after,
             outputs_.data() + uint64_t{row} * delta_.value_columns() + head * delta_.value_dim);
    // The first token reads the version before the step, which stays for a rewind; from then on it
    // works in place.
    before = after;
  }
}

void DeltaNetMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  const DeltaNetWeights& w = weights(layer);
  run_projections(w, input, rows.count());
  plan_runs(layer, rows);
  grow(convolved_, uint64_t{rows.count()} * delta_.channels());
  grow(outputs_, uint64_t{rows.count()} * delta_.value_columns());
  for_rows(compute_.threads, rows.count(),
           [&](uint32_t row) { convolve(w, runs_[run_of_row_[row]], row); });
  for (const Run& run : runs_) keep_history(run);
  auto tasks = static_cast<uint32_t>(runs_.size()) * delta_.value_heads;
  for_rows(compute_.threads, tasks, [&](uint32_t task) {
    advance_head(w, runs_[task / delta_.value_heads], task % delta_.value_heads);
  });
}

void DeltaNetMixer::move_row(uint32_t from, uint32_t to) {
  uint64_t columns = delta_.value_columns();
  for (std::vector<float>* values : {&outputs_, &gates_}) {
    std::copy_n(values->data() + from * columns, columns, values->data() + to * columns);
  }
}

void DeltaNetMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const DeltaNetWeights& w = weights(layer);
  uint32_t columns = delta_.value_columns();
  const ActivationForm form[] = {w.output.form()};
  gated_.reset(form, rows.count(), columns);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    float* o = outputs_.data() + uint64_t{row} * columns;
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
