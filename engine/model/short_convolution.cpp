// The gated short convolution of LFM2 (Liquid AI, 2025): every channel sees the last few tokens.
//
//   b, c, z = W x;  s = b * z
//   y = sum over the last tokens of w * s        oldest first; no activation, no bias
//   out = W (c * y)
//
// The state is the past s (recurrent_rows.h).
#include <algorithm>

#include "engine/model/recurrent_rows.h"

namespace potluck {
namespace {

class ShortConvolutionMixer final : public TokenMixer {
 public:
  ShortConvolutionMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        hidden_(model.config().hidden),
        compute_(compute),
        recurrent_(model.config().recurrent_shape(), compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override {
    forms->push_back(weights(layer).input.form());
  }
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const ShortConvolutionWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].short_convolution;
  }
  float* projected_row(uint32_t row) { return projected_.data() + uint64_t{row} * 3 * hidden_; }

  const Model& model_;
  uint32_t hidden_;
  ComputeContext compute_;
  RecurrentRows recurrent_;
  std::vector<float> projected_;  // [rows, 3 * hidden]: b, c, z
  ActivationRows gated_;          // [rows, hidden]: c * y
};

void ShortConvolutionMixer::remember(uint32_t layer, const StepRows& rows,
                                     const ActivationRows& input) {
  const ShortConvolutionWeights& w = weights(layer);
  const Product inputs[] = {project(w.input, input, rows.count(), projected_)};
  run_products(compute_.threads, compute_.kernels, inputs);
  recurrent_.reset(rows.count());
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    const float* b = projected_row(row);
    const float* z = b + 2 * uint64_t{hidden_};
    float* s = recurrent_.input(row);
    for (uint32_t i = 0; i < hidden_; ++i) s[i] = b[i] * z[i];
  });
  recurrent_.begin(layer, rows);
  for_rows(compute_.threads, rows.count(),
           [&](uint32_t row) { recurrent_.convolve(w.convolution, row); });
  recurrent_.advance();
}

void ShortConvolutionMixer::move_row(uint32_t from, uint32_t to) {
  std::copy_n(recurrent_.convolved(from), hidden_, recurrent_.convolved(to));
  std::copy_n(projected_row(from), 3 * uint64_t{hidden_}, projected_row(to));
}

void ShortConvolutionMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const ShortConvolutionWeights& w = weights(layer);
  const ActivationForm form[] = {w.output.form()};
  gated_.reset(form, rows.count(), hidden_);
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    const float* c = projected_row(row) + hidden_;
    const float* y = recurrent_.convolved(row);
    float* gated = gated_.row(row);
    for (uint32_t i = 0; i < hidden_; ++i) gated[i] = c[i] * y[i];
    gated_.quantize_row(compute_.kernels, row);
  });
  const Product output[] = {project(w.output, gated_, rows.count(), out)};
  run_products(compute_.threads, compute_.kernels, output);
}

}  // namespace

std::unique_ptr<TokenMixer> make_short_convolution_mixer(const Model& model,
                                                         const ComputeContext& compute) {
  return std::make_unique<ShortConvolutionMixer>(model, compute);
}

}  // namespace potluck
