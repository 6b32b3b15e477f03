// The next layer's router sees the residual before this layer's experts and the next attention have
// added to it. That changes the residual so little that most of the choice is right already.
#include "engine/model/expert_prefetch.h"

#include <cmath>

#include "engine/model/norm.h"
#include "engine/model/router.h"

namespace potluck {

void ExpertPrefetch::run(uint32_t layer, uint32_t rows, const float* residual) {
  clear();
  const ModelConfig& config = model_.config();
  if (rows == 0 || rows > kMostRows || layer + 1 >= config.layers) return;
  const LayerWeights& next = model_.weights().layers[layer + 1];
  if (next.router.empty()) return;
  const bool parallel = config.parallel_block;
  const std::vector<float>& norm = parallel ? next.mixer_norm : next.ffn_norm;
  const std::vector<float>& bias = parallel ? next.mixer_norm_bias : next.ffn_norm_bias;
  const ActivationForm form[] = {next.router.matrix.form()};
  normed_.reset(form, rows, config.hidden);
  for (uint32_t row = 0; row < rows; ++row) {
    normalize(config, compute_.kernels, residual + uint64_t{row} * config.hidden, norm, bias,
              normed_.row(row));
    normed_.quantize_row(compute_.kernels, row);
  }
  const Product product[] = {project(next.router.matrix, normed_, rows, logits_)};
  run_products(compute_.threads, compute_.kernels, product);
  const RouterConfig& router = config.router;
  grow(probabilities_, router.experts);
  grow(scores_, router.experts);
  weights_.resize(router.top_k);
  experts_.resize(uint64_t{rows} * router.top_k);
  for (uint32_t row = 0; row < rows; ++row) {
    RouterScratch scratch{{probabilities_.data(), router.experts},
                          {scores_.data(), router.experts}};
    route(router, compute_.kernels,
          {logits_.data() + uint64_t{row} * router.experts, router.experts},
          {next.router.bias, next.router.selection_bias}, scratch,
          {experts_.data() + uint64_t{row} * router.top_k, router.top_k}, weights_);
    // A broken row is reported where it is computed; here it only makes the guess worthless.
    if (!std::isfinite(weights_[0])) return clear();
  }
}

}  // namespace potluck
