// What follows the mixer in a layer: the norm, router and experts or a dense part, and what they
// add to the residual.
#include <algorithm>
#include <cmath>

#include "engine/model/fixed_scale.h"
#include "engine/model/forward_step.h"

namespace potluck {

void Forward::Step::add_scaled(float* x, const float* addend, float scale) const {
  if (scale == 1) return add_to(x, {addend, config.hidden});
  for (uint32_t i = 0; i < config.hidden; ++i) x[i] += addend[i] * scale;
}

void Forward::Step::add_mixed(uint32_t row) {
  if (!mixes()) return;
  float* addend = mixed_row(row);
  if (config.post_norms) norm(addend, weights().mixer_post_norm, {}, addend);
  add_part(row, addend);
}

// Of a dense layer.
void Forward::Step::add_feed_forward(uint32_t row) {
  const float* addend = ffn.output(row);
  if (config.post_norms) {
    norm(addend, weights().ffn_post_norm, {}, mixed_row(row));
    addend = mixed_row(row);
  }
  add_part(row, addend);
}

// The shared expert first, then the routed ones.
void Forward::Step::add_experts(uint32_t row, const ExpertSums& routed) {
  if (config.dense_beside_experts) return add_both_parts(row, routed);
  const bool has_shared = !weights().shared.empty();
  if (!config.post_norms && !has_streams()) {
    const float scale = config.residual_scale * config.expert_scale;
    if (has_shared) add_to_residual(row, ffn.output(row), scale);
    return add_routed(row, routed, scale, residual_row(row));
  }
  float* addend = mixed_row(row);
  std::fill_n(addend, config.hidden, 0.0F);
  if (has_shared) add_to(addend, {ffn.output(row), config.hidden});
  add_routed(row, routed, 1, addend);
  if (config.post_norms) norm(addend, weights().ffn_post_norm, {}, addend);
  add_part(row, addend);
}

// A dense part and experts beside it: each is normed, their sum is normed, then it is added.
void Forward::Step::add_both_parts(uint32_t row, const ExpertSums& routed) {
  const LayerWeights& w = weights();
  float* addend = mixed_row(row);
  float* experts = routed_part.data() + uint64_t{row} * config.hidden;
  std::fill_n(experts, config.hidden, 0.0F);
  add_routed(row, routed, 1, experts);
  norm(experts, w.expert_post_norm, {}, experts);
  norm(ffn.output(row), w.shared_post_norm, {}, addend);
  add_to(addend, {experts, config.hidden});
  norm(addend, w.ffn_post_norm, {}, addend);
  add_part(row, addend);
}

// Sums of latent experts were widened before.
void Forward::Step::add_routed(uint32_t row, const ExpertSums& routed, float scale,
                               float* x) const {
  if (!weights().latent_up.empty()) return add_scaled(x, latent.output(row), scale);
  const uint64_t first = uint64_t{row} * config.hidden;
  add_fixed_point({routed.sums.data() + first, config.hidden}, fraction_bits[row], scale, x);
}

// Adds what was mixed in to the residual and norms it; a parallel block reads the residual as it
// was before. A row that failed continues as zeros, which are harmless on any device.
void Forward::Step::begin_ffn(uint32_t row) {
  const LayerWeights& w = weights();
  const bool has_experts = !w.router.empty();
  float* x = residual_row(row);
  float* input = normed.row(row);
  if (has_experts) choice.read_layer_input(row, x);
  if (config.parallel_block) norm(x, w.mixer_norm, w.mixer_norm_bias, input);
  if (!has_streams()) add_mixed(row);
  const float* read = part_input(row);
  if (!config.parallel_block) norm(read, w.ffn_norm, w.ffn_norm_bias, input);
  const float* expert_input = has_experts ? choice.read_residual(row, read, input) : input;
  float magnitude = largest_magnitude({x, config.residual_columns()});
  float input_magnitude = largest_magnitude({expert_input, config.hidden});
  const bool finite = std::isfinite(magnitude) && std::isfinite(input_magnitude) &&
                      std::isfinite(largest_magnitude({input, config.hidden}));
  if (!finite) fail(row, RowFault::kHidden);
  // What experts add is rounded by the size of what it is added to; a norm in between makes it as
  // large as that, whatever it was, so its own size must do.
  if (config.post_norms) magnitude = input_magnitude;
  if (fault_of(row)) {
    std::fill_n(input, config.hidden, 0.0F);
    if (has_experts) choice.clear_row(row);
    magnitude = 0;
  }
  fraction_bits[row] = fraction_bits_for(magnitude);
  normed.quantize_row(kernels, row);
  if (has_experts) choice.finish_row(row);
}

// For router and experts, or a dense feed-forward part.
void Forward::Step::normalize_for_ffn() {
  const LayerWeights& w = weights();
  forms.clear();
  if (!w.router.empty()) choice.begin(layer, row_count(), &forms);
  for (const FeedForwardWeights* part : {&w.dense, &w.shared}) {
    if (!part->empty()) FeedForward::input_forms(*part, &forms);
  }
  normed.reset(forms, row_count(), config.hidden);
  fraction_bits.resize(row_count());
  if (has_streams()) {
    grow(mixed, uint64_t{row_count()} * config.hidden);
    for_rows(pool, row_count(), [&](uint32_t row) { add_mixed(row); });
    read_streams(w.ffn_hyper);
  }
  for_rows(pool, row_count(), [&](uint32_t row) { begin_ffn(row); });
  show(ResidualPoint::kMixer);
}

void Forward::Step::choose_experts() {
  row_tokens.clear();
  for (uint32_t source : rows.sources) row_tokens.push_back(tokens[source]);
  choice.run(normed, row_tokens);
  for (uint32_t row = 0; row < row_count(); ++row) {
    if (!choice.is_good(row)) fail(row, RowFault::kRouter);
  }
  guess_experts();
  make_batch();
}

// Not of a last layer that only some of the rows go through: it needs few experts, and a prompt's
// rows would name all of them.
void Forward::Step::guess_experts() {
  prefetch.clear();
  if (!reads_ahead(read_ahead, foresight(row_count()))) return;
  const bool all_go_on =
      std::ranges::all_of(rows.sources, [&](uint32_t row) { return wants_logits[row] != 0; });
  if (layer + 2 < config.layers || all_go_on) prefetch.run(layer, row_tokens, residual.data());
}

void Forward::Step::make_batch() {
  const ActivationForm form = model.bank(layer)->shape.input_form();
  const ActivationRows& input = choice.expert_rows(normed);
  batch.layer = layer;
  batch.top_k = config.router.top_k;
  const WeightMatrix& shrink = weights().latent_down;
  batch.input = shrink.empty() ? input.view(form) : latent.shrink(shrink, input, row_count(), form);
  batch.fraction_bits = fraction_bits;
  batch.experts = choice.experts();
  batch.weights = choice.weights();
  batch.prefetch = prefetch.experts();
}

// The shared expert does not depend on the answers of the other experts.
void Forward::Step::meanwhile() {
  CHECK(waiting);
  if (!shared_done && !weights().shared.empty()) run_ffn(weights().shared);
  shared_done = true;
}

void Forward::Step::supply(const ExpertSums& routed) {
  CHECK(waiting);
  CHECK(routed.sums.size() == uint64_t{row_count()} * config.expert_columns());
  CHECK(routed.flags.size() == row_count());
  meanwhile();
  const WeightMatrix& up = weights().latent_up;
  if (!up.empty()) latent.widen(up, routed.sums, fraction_bits);
  if (config.dense_beside_experts) grow(routed_part, uint64_t{row_count()} * config.hidden);
  for_rows(pool, row_count(), [&](uint32_t row) {
    add_experts(row, routed);
    if (routed.flags[row] != 0) fail(row, RowFault::kExperts);
  });
  finish_layer();
  waiting = false;
  ++layer;
}

// The feed-forward part of a dense layer.
void Forward::Step::feed_forward() {
  run_ffn(weights().dense);
  for_rows(pool, row_count(), [&](uint32_t row) { add_feed_forward(row); });
  finish_layer();
}

// What some models do with the residual after both parts.
void Forward::Step::finish_layer() {
  per_layer.add(layer, rows.sources, residual.data());
  if (!weights().output_scale.empty()) {
    const float scale = weights().output_scale[0];
    for_rows(pool, row_count(), [&](uint32_t row) {
      float* x = residual_row(row);
      for (uint32_t i = 0; i < config.hidden; ++i) x[i] *= scale;
    });
  }
  show(ResidualPoint::kLayer);
}

}  // namespace potluck
