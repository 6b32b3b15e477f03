// The next layer's router sees the residual before this layer's experts and the next attention have
// added to it. That changes the residual so little that most of the choice is right already.
#include "engine/model/expert_prefetch.h"

#include <cmath>

#include "engine/model/expert_choice.h"
#include "engine/model/router.h"

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
  const Product product[] = {project(next.router.matrix, normed_, rows, logits_)};
  run_products(compute_.threads, compute_.kernels, product);
  choose(rows, next);
  mark_chosen();
}

void ExpertPrefetch::choose(uint32_t rows, const LayerWeights& next) {
  const RouterConfig& router = model_.config().router;
  grow(probabilities_, uint64_t{rows} * router.experts);
  grow(scores_, uint64_t{rows} * router.experts);
  weights_.resize(uint64_t{rows} * router.top_k);
  chosen_.resize(uint64_t{rows} * router.top_k);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    uint64_t first = uint64_t{row} * router.experts;
    uint64_t first_choice = uint64_t{row} * router.top_k;
    RouterScratch scratch{{probabilities_.data() + first, router.experts},
                          {scores_.data() + first, router.experts}};
    route(router, compute_.kernels, {logits_.data() + first, router.experts},
          {next.router.bias, next.router.selection_bias}, scratch,
          {chosen_.data() + first_choice, router.top_k},
          {weights_.data() + first_choice, router.top_k});
  });
}

// A broken row is reported where it is computed; here it only makes its guess worthless.
void ExpertPrefetch::mark_chosen() {
  const uint32_t top_k = model_.config().router.top_k;
  for (size_t i = 0; i < chosen_.size(); ++i) {
    if (std::isfinite(weights_[i - i % top_k])) is_chosen_[chosen_[i]] = 1;
  }
}

void ExpertPrefetch::name_marked() {
  for (uint32_t expert = 0; expert < is_chosen_.size(); ++expert) {
    if (is_chosen_[expert] != 0) experts_.push_back(expert);
  }
}

}  // namespace potluck
