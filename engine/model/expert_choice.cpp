#include "engine/model/expert_choice.h"

#include <algorithm>
#include <cmath>

#include "engine/model/norm.h"

namespace potluck {

void fill_router_input(const ModelConfig& config, const KernelTable& kernels,
                       const LayerWeights& weights, const float* x, float* y) {
  switch (config.router.input) {
    case RouterInput::kLayerInput:
      std::copy_n(x, config.hidden, y);
      return;
    case RouterInput::kScaledNorm:
      return kernels.rms_norm(x, weights.router.input_norm.data(), config.hidden,
                              config.norm_epsilon, y);
    case RouterInput::kFeedForwardInput:
      break;
  }
  const bool parallel = config.parallel_block;
  normalize(config, kernels, x, parallel ? weights.mixer_norm : weights.ffn_norm,
            parallel ? weights.mixer_norm_bias : weights.ffn_norm_bias, y);
}

void ExpertChoice::begin(uint32_t layer, uint32_t rows, std::vector<ActivationForm>* forms) {
  layer_ = layer;
  const LayerWeights& w = this->layer();
  const bool shrinks = !w.latent_down.empty();
  const ActivationForm router_form = w.router.matrix.form();
  const ActivationForm expert_form =
      shrinks ? w.latent_down.form() : model_.bank(layer)->shape.input_form();
  has_router_rows_ = config_.router.input != RouterInput::kFeedForwardInput;
  has_expert_rows_ = !w.expert_norm.empty() || config_.router.scales_input;
  auto place = [&](bool has_own, ActivationForm form, ActivationRows& own) {
    if (has_own) return own.reset({&form, 1}, rows, config_.hidden);
    forms->push_back(form);
  };
  place(has_expert_rows_, expert_form, expert_rows_);
  place(has_router_rows_, router_form, router_rows_);
}

void ExpertChoice::read_layer_input(uint32_t row, const float* x) {
  if (config_.router.input != RouterInput::kLayerInput) return;
  fill_router_input(config_, compute_.kernels, layer(), x, router_rows_.row(row));
}

const float* ExpertChoice::read_residual(uint32_t row, const float* x, const float* common) {
  const LayerWeights& w = layer();
  if (config_.router.input == RouterInput::kScaledNorm) {
    fill_router_input(config_, compute_.kernels, w, x, router_rows_.row(row));
  }
  if (w.expert_norm.empty()) return common;
  normalize(config_, compute_.kernels, x, w.expert_norm, {}, expert_rows_.row(row));
  return expert_rows_.row(row);
}

void ExpertChoice::clear_row(uint32_t row) {
  if (has_router_rows_) std::fill_n(router_rows_.row(row), config_.hidden, 0.0F);
  if (has_expert_rows_) std::fill_n(expert_rows_.row(row), config_.hidden, 0.0F);
}

void ExpertChoice::finish_row(uint32_t row) {
  if (has_router_rows_) router_rows_.quantize_row(compute_.kernels, row);
  // Otherwise their weights are still to come.
  if (has_expert_rows_ && !config_.router.scales_input) {
    expert_rows_.quantize_row(compute_.kernels, row);
  }
}

void ExpertChoice::run(const ActivationRows& common, std::span<const TokenId> tokens) {
  const auto rows = static_cast<uint32_t>(tokens.size());
  const ActivationRows& input = has_router_rows_ ? router_rows_ : common;
  const Product product[] = {routed_.project_logits(layer().router, input, rows)};
  run_products(compute_.threads, compute_.kernels, product);
  good_.resize(rows);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    choose(row, tokens[row]);
    apply_weights(common, row);
  });
}

void ExpertChoice::choose(uint32_t row, TokenId token) {
  const RouterWeights& w = layer().router;
  if (w.by_token.empty()) return routed_.route(compute_.kernels, w, row);
  std::ranges::copy(w.by_token.of(static_cast<uint32_t>(token)), routed_.experts_of(row).begin());
  routed_.weigh(compute_.kernels, w, row);
}

// What becomes of the router's weights.
void ExpertChoice::apply_weights(const ActivationRows& common, uint32_t row) {
  const std::span<float> weights = routed_.weights_of(row);
  good_[row] = std::isfinite(weights[0]) ? 1 : 0;
  if (!is_good(row)) std::ranges::fill(weights, 0.0F);
  if (!config_.router.scales_input) return;
  const float* from = common.view(ActivationForm::kF32).values + uint64_t{row} * config_.hidden;
  float* to = expert_rows_.row(row);
  for (uint32_t i = 0; i < config_.hidden; ++i) to[i] = from[i] * weights[0];
  expert_rows_.quantize_row(compute_.kernels, row);
  if (is_good(row)) weights[0] = 1;
}

}  // namespace potluck
