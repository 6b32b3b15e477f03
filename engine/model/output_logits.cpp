#include "engine/model/output_logits.h"

#include "engine/model/norm.h"

namespace potluck {
namespace {

// cap * tanh(y / cap) = cap * (2 / (1 + exp(-2 y / cap)) - 1), which is right at both ends, too.
void cap_logits(const KernelTable& kernels, float cap, uint32_t count, float* y) {
  const float scale = -2.0F / cap;
  for (uint32_t i = 0; i < count; ++i) y[i] *= scale;
  (void)kernels.exp_sum(y, count, 0);
  for (uint32_t i = 0; i < count; ++i) y[i] = cap * (2.0F / (1.0F + y[i]) - 1.0F);
}

}  // namespace

void OutputLogits::run(const float* residual, uint32_t rows) {
  const ModelConfig& config = model_.config();
  const ModelWeights& weights = model_.weights();
  const WeightMatrix& output = weights.output_matrix();
  const ActivationForm form[] = {output.form()};
  normed_.reset(form, rows, config.hidden);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    normalize(config, compute_.kernels, residual + uint64_t{row} * config.hidden,
              weights.output_norm, weights.output_norm_bias, normed_.row(row));
    normed_.quantize_row(compute_.kernels, row);
  });
  const Product last[] = {project(output, normed_, rows, logits_)};
  run_products(compute_.threads, compute_.kernels, last);
  for_rows(compute_.threads, rows,
           [&](uint32_t row) { finish_row(logits_.data() + uint64_t{row} * config.vocabulary); });
}

void OutputLogits::finish_row(float* logits) {
  const ModelConfig& config = model_.config();
  add_to(logits, model_.weights().output_bias);
  if (config.logit_divisor != 1) {
    for (uint32_t i = 0; i < config.vocabulary; ++i) logits[i] /= config.logit_divisor;
  }
  if (config.logit_cap > 0) {
    cap_logits(compute_.kernels, config.logit_cap, config.vocabulary, logits);
  }
}

}  // namespace potluck
