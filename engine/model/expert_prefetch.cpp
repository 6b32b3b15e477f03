// The next layer's router sees the residual before this layer's experts and the next attention have
// added to it. That changes the residual so little that most of the choice is right already.
#include "engine/model/expert_prefetch.h"

#include <cmath>

#include "engine/model/expert_choice.h"

namespace potluck {

void ExpertPrefetch::run(uint32_t layer, std::span<const TokenId> tokens, const float* residual) {
  clear();
  const ModelConfig& config = model_.config();
  if (tokens.empty() || layer + 1 >= config.layers) return;
  const LayerWeights& next = model_.weights().layers[layer + 1];
  if (next.router.empty()) return;
  is_chosen_.assign(config.router.experts, 0);
  if (next.router.by_token.empty()) {
    guess(next, static_cast<uint32_t>(tokens.size()), residual);
  } else {
    look_up(next.router.by_token, tokens);
  }
  name_marked();
}

void ExpertPrefetch::look_up(const TokenExperts& table, std::span<const TokenId> tokens) {
  for (TokenId token : tokens) {
    for (uint32_t expert : table.of(static_cast<uint32_t>(token))) is_chosen_[expert] = 1;
  }
}

void ExpertPrefetch::guess(const LayerWeights& next, uint32_t rows, const float* residual) {
  const ModelConfig& config = model_.config();
  if (config.hyper.streams > 1) {
    hyper_.read(next.ffn_hyper, rows, residual, inputs_);
    residual = inputs_.data();
  }
  const ActivationForm form[] = {next.router.matrix.form()};
  normed_.reset(form, rows, config.hidden);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    fill_router_input(config, compute_.kernels, next, residual + uint64_t{row} * config.hidden,
                      normed_.row(row));
    normed_.quantize_row(compute_.kernels, row);
  });
  const Product product[] = {routed_.project_logits(next.router, normed_, rows)};
  run_products(compute_.threads, compute_.kernels, product);
  for_rows(compute_.threads, rows,
           [&](uint32_t row) { routed_.route(compute_.kernels, next.router, row); });
  mark_chosen();
}

// A broken row is reported where it is computed; here it only makes its guess worthless.
void ExpertPrefetch::mark_chosen() {
  const uint32_t top_k = model_.config().router.top_k;
  const std::span<const uint32_t> chosen = routed_.experts();
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (std::isfinite(routed_.weights()[i - i % top_k])) is_chosen_[chosen[i]] = 1;
  }
}

void ExpertPrefetch::name_marked() {
  for (uint32_t expert = 0; expert < is_chosen_.size(); ++expert) {
    if (is_chosen_[expert] != 0) experts_.push_back(expert);
  }
}

}  // namespace potluck
