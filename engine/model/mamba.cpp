// Mamba-2, the state space dual of attention (Dao and Gu, 2024): a matrix S [state, head_dim] per
// head, which every token decays and adds to. Heads of a group share B and C.
//
//   z, xBC, dt = W u;  x, B, C = silu(convolution over the last tokens of xBC + bias)
//   dt = softplus(dt + bias);  S = exp(dt a) S + B (dt x)     a < 0, one per head
//   y = C S + d x                                             sums over the state in sequence
//   out = W norm(y * silu(z))                                 normed group by group
//
// How tokens follow each other is in recurrent_rows.h: B are its keys, C its queries, x its values.
#include <algorithm>

#include "engine/model/recurrent_rows.h"
#include "engine/model/softplus.h"

namespace potluck {
namespace {

class MambaMixer final : public TokenMixer {
 public:
  MambaMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        mamba_(config_.mamba),
        compute_(compute),
        recurrent_(config_.recurrent_shape(), compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    forms->push_back(weights(layer).input.form());
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const MambaWeights& weights(uint32_t layer) const { return model_.weights().layers[layer].mamba; }
  float* projected_row(uint32_t row) {
    return projected_.data() + uint64_t{row} * mamba_.projected();
  }
  float* skipped_row(uint32_t row) { return skipped_.data() + uint64_t{row} * mamba_.inner(); }
  void prepare_heads(const MambaWeights& w, uint32_t row);

  const Model& model_;
  const ModelConfig& config_;
  const MambaConfig& mamba_;
  ComputeContext compute_;
  RecurrentRows recurrent_;
  std::vector<float> projected_;  // [rows, z then channels then a time step per head]
  std::vector<float> skipped_;    // [rows, inner]: d x
  ActivationRows gated_;          // [rows, inner]
};

// Convolution and silu of one row, and what its heads decay by and add.
void MambaMixer::prepare_heads(const MambaWeights& w, uint32_t row) {
  float* values = recurrent_.convolve(w.convolution, row);
  add_to(values, w.convolution_bias);
  recurrent_.kernels().silu(values, mamba_.channels());
  const float* times = projected_row(row) + mamba_.inner() + mamba_.channels();
  float* skipped = skipped_row(row);
  for (uint32_t head = 0; head < mamba_.heads; ++head) {
    float time = softplus(times[head] + w.time_bias[head]);
    recurrent_.decays(row)[head] = exact_exp(time * w.decay[head]);
    recurrent_.betas(row)[head] = time;
    uint32_t first = head * mamba_.head_dim;
    for (uint32_t i = first; i < first + mamba_.head_dim; ++i) {
      skipped[i] = values[i] * w.skip[head];
    }
  }
}

void MambaMixer::remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) {
  const MambaWeights& w = weights(layer);
  const Product inputs[] = {project(w.input, input, rows.count(), projected_)};
  run_products(compute_.threads, compute_.kernels, inputs);
  recurrent_.reset(rows.count());
  grow(skipped_, uint64_t{rows.count()} * mamba_.inner());
  for (uint32_t row = 0; row < rows.count(); ++row) {
    std::copy_n(projected_row(row) + mamba_.inner(), mamba_.channels(), recurrent_.input(row));
  }
  recurrent_.begin(layer, rows);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) { prepare_heads(w, row); });
  recurrent_.advance();
}

void MambaMixer::move_row(uint32_t from, uint32_t to) {
  std::copy_n(recurrent_.output(from), mamba_.inner(), recurrent_.output(to));
  std::copy_n(skipped_row(from), mamba_.inner(), skipped_row(to));
  std::copy_n(projected_row(from), mamba_.inner(), projected_row(to));
}

void MambaMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const MambaWeights& w = weights(layer);
  uint32_t inner = mamba_.inner();
  uint32_t group = inner / mamba_.groups;
  const ActivationForm form[] = {w.output.form()};
  gated_.reset(form, rows.count(), inner);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    float* y = recurrent_.output(row);
    add_to(y, {skipped_row(row), inner});
    float* gated = gated_.row(row);
    compute_.kernels.swiglu(projected_row(row), y, inner, gated);
    for (uint32_t first = 0; first < inner; first += group) {
      compute_.kernels.rms_norm(gated + first, w.norm.data() + first, group, config_.norm_epsilon,
                                gated + first);
    }
    gated_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, gated_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace

std::unique_ptr<TokenMixer> make_mamba_mixer(const Model& model, const ComputeContext& compute) {
  return std::make_unique<MambaMixer>(model, compute);
}

}  // namespace potluck
