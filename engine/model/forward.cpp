#include "engine/model/forward.h"

#include <cmath>

#include "engine/model/expert_choice.h"
#include "engine/model/expert_prefetch.h"
#include "engine/model/feed_forward.h"
#include "engine/model/fixed_scale.h"
#include "engine/model/latent_experts.h"
#include "engine/model/norm.h"
#include "engine/model/output_logits.h"
#include "engine/model/per_layer_inputs.h"
#include "engine/model/row_fault.h"
#include "engine/model/token_mixer.h"

namespace potluck {

// All state of a step. "Rows" below are the rows still computed: all of them up to what the last
// layer remembers, from there on those that want logits.
struct Forward::Step {
  Step(const Model& from, const KernelTable& table, ThreadPool& threads);

  void begin(std::span<const ForwardRow> wanted);
  ForwardState advance();
  void meanwhile();
  void supply(const ExpertSums& sums);

  uint32_t row_count() const { return rows.count(); }
  bool mixes() const { return config.mixer(layer) != MixerKind::kNone; }
  float* residual_row(uint32_t row) { return residual.data() + uint64_t{row} * config.hidden; }
  const LayerWeights& weights() const { return model.weights().layers[layer]; }

  void embed(std::span<const ForwardRow> wanted);
  void mix_tokens();
  void keep_wanted_rows();
  void fill_ropes(uint32_t row, uint32_t position);
  void norm(const float* x, const std::vector<float>& weight, const std::vector<float>& bias,
            float* y) const {
    normalize(config, kernels, x, weight, bias, y);
  }
  float* mixed_row(uint32_t row) { return mixed.data() + uint64_t{row} * config.hidden; }
  void add_scaled(float* x, const float* addend, float scale) const;
  void add_to_residual(uint32_t row, const float* addend, float scale) {
    add_scaled(residual_row(row), addend, scale);
  }
  void add_mixed(uint32_t row);
  void add_feed_forward(uint32_t row);
  void add_experts(uint32_t row, const ExpertSums& sums);
  void add_routed(uint32_t row, const ExpertSums& sums, float scale, float* x) const;
  void add_both_parts(uint32_t row, const ExpertSums& sums);
  void begin_ffn(uint32_t row);
  void normalize_for_ffn();
  void choose_experts();
  void make_batch();
  void run_ffn(const FeedForwardWeights& w) {
    ffn.run(w, config.ffn_activation_of(layer), normed, row_count());
  }
  void feed_forward();
  void finish_layer();
  void compute_logits();
  RowFault& fault_of(uint32_t row) { return faults[rows.sources[row]]; }
  void fail(uint32_t row, RowFault::Kind kind);
  void show(ResidualPoint point);

  const Model& model;
  const ModelConfig& config;
  ComputeContext compute;
  const KernelTable& kernels;
  ThreadPool& pool;
  std::array<RopeFrequencies, 2> ropes;  // kMain, kWindow
  PerLayerInputs per_layer;
  TokenMixers mixers;
  ExpertChoice choice;
  FeedForward ffn;
  LatentExperts latent;
  ExpertPrefetch prefetch;
  OutputLogits output;
  bool wants_prefetch = false;
  LayerObserver* observer = nullptr;

  uint32_t layer = 0;
  bool waiting = false;      // for supply()
  bool shared_done = false;  // while waiting
  uint32_t logit_rows = 0;   // valid in kDone
  StepRows rows;
  std::vector<uint8_t> wants_logits;   // [rows of begin()]
  std::vector<RowFault> faults;        // [rows of begin()]
  std::vector<uint32_t> positions;     // [rows of begin()]
  std::vector<TokenId> tokens;         // [rows of begin()]
  std::vector<float> residual;         // [rows, hidden]
  std::vector<ActivationForm> forms;   // of `normed`
  ActivationRows normed;               // [rows, hidden]
  std::vector<float> mixed;            // [rows, hidden]: what is added to the residual
  std::vector<float> routed_part;      // [rows, hidden], where it is normed by itself
  std::vector<int32_t> fraction_bits;  // [rows]
  ExpertBatch batch;
  ExpertSums sums;
};

Forward::Step::Step(const Model& from, const KernelTable& table, ThreadPool& threads)
    : model(from),
      config(from.config()),
      compute{table, threads},
      kernels(table),
      pool(threads),
      ropes{RopeFrequencies(config.rope, from.weights().rope_divisors),
            RopeFrequencies(config.window_rope)},
      per_layer(from, compute),
      mixers(from, compute),
      choice(from, compute),
      ffn(compute),
      latent(compute),
      prefetch(from, compute),
      output(from, compute) {}

void Forward::Step::begin(std::span<const ForwardRow> wanted) {
  CHECK(!wanted.empty());
  rows.rows.clear();
  rows.caches.clear();
  rows.sources.clear();
  wants_logits.clear();
  positions.clear();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const ForwardRow& row = wanted[i];
    bool follows = i > 0 && wanted[i - 1].cache == row.cache;
    CHECK(row.position == (follows ? wanted[i - 1].position + 1 : row.cache->length()));
    CHECK(row.position < row.cache->capacity());
    CHECK(row.token >= 0 && static_cast<uint32_t>(row.token) < config.vocabulary);
    // Where memory is shared, its owner has seen to it that there is enough.
    CHECK(row.cache->extend(row.position + 1));
    rows.rows.push_back({row.cache, row.position});
    rows.caches.push_back(row.cache);
    rows.sources.push_back(static_cast<uint32_t>(i));
    wants_logits.push_back(row.wants_logits ? 1 : 0);
    positions.push_back(row.position);
  }
  faults.assign(wanted.size(), {});
  layer = 0;
  waiting = false;
  logit_rows = 0;
  embed(wanted);
  show(ResidualPoint::kEmbedding);
}

void Forward::Step::embed(std::span<const ForwardRow> wanted) {
  grow(residual, uint64_t{row_count()} * config.hidden);
  for (size_t i = 0; i < ropes.size(); ++i) {
    RopeAngles& angles = rows.ropes[i];
    angles.pairs = ropes[i].pairs();
    grow(angles.cosines, uint64_t{row_count()} * angles.pairs);
    grow(angles.sines, uint64_t{row_count()} * angles.pairs);
  }
  for_rows(pool, row_count(), [&](uint32_t row) {
    float* x = residual_row(row);
    unpack_row(model.weights().token_embedding.view(), static_cast<uint32_t>(wanted[row].token), x);
    if (config.embedding_scale != 1) {
      for (uint32_t i = 0; i < config.hidden; ++i) x[i] *= config.embedding_scale;
    }
    fill_ropes(row, wanted[row].position);
  });
  tokens.clear();
  for (const ForwardRow& row : wanted) tokens.push_back(row.token);
  per_layer.begin(tokens, residual.data());
}

void Forward::Step::fill_ropes(uint32_t row, uint32_t position) {
  for (size_t i = 0; i < ropes.size(); ++i) {
    RopeAngles& angles = rows.ropes[i];
    const uint64_t first = uint64_t{row} * angles.pairs;
    ropes[i].fill(position, angles.cosines.data() + first, angles.sines.data() + first);
  }
}

ForwardState Forward::Step::advance() {
  CHECK(!waiting);
  for (; layer < config.layers && row_count() > 0; ++layer) {
    mix_tokens();
    if (row_count() == 0) break;
    if (!config.has_feed_forward(layer)) {
      for_rows(pool, row_count(), [&](uint32_t row) { add_mixed(row); });
      finish_layer();
      continue;
    }
    normalize_for_ffn();
    if (!weights().router.empty()) {
      choose_experts();
      waiting = true;
      shared_done = false;
      return ForwardState::kNeedsExperts;
    }
    feed_forward();
  }
  compute_logits();
  return ForwardState::kDone;
}

// Lets the rows learn about those before them.
void Forward::Step::mix_tokens() {
  if (!mixes()) {
    if (layer + 1 == config.layers) keep_wanted_rows();
    return;
  }
  TokenMixer& mixer = mixers.of(config.mixer(layer));
  forms.clear();
  mixer.input_forms(layer, &forms);
  normed.reset(forms, row_count(), config.hidden);
  for_rows(pool, row_count(), [&](uint32_t row) {
    norm(residual_row(row), weights().mixer_norm, weights().mixer_norm_bias, normed.row(row));
    normed.quantize_row(kernels, row);
  });
  mixer.remember(layer, rows, normed);
  if (layer + 1 == config.layers) keep_wanted_rows();
  if (row_count() > 0) mixer.mix(layer, rows, mixed);
}

// Once the last layer has stored what it remembers, only rows whose logits are wanted matter: the
// results of the others would go unused.
void Forward::Step::keep_wanted_rows() {
  uint32_t kept = 0;
  for (uint32_t row = 0; row < row_count(); ++row) {
    if (wants_logits[rows.sources[row]] == 0) continue;
    if (kept != row) {
      std::copy_n(residual_row(row), config.hidden, residual_row(kept));
      if (mixes()) mixers.of(config.mixer(layer)).move_row(row, kept);
      rows.rows[kept] = rows.rows[row];
      rows.caches[kept] = rows.caches[row];
      rows.sources[kept] = rows.sources[row];
    }
    ++kept;
  }
  rows.rows.resize(kept);
  rows.caches.resize(kept);
  rows.sources.resize(kept);
}

// The first fault of a row is the one that counts.
void Forward::Step::fail(uint32_t row, RowFault::Kind kind) {
  if (!fault_of(row)) fault_of(row) = {kind, layer};
}

void Forward::Step::show(ResidualPoint point) {
  if (observer == nullptr) return;
  for (uint32_t row = 0; row < row_count(); ++row) {
    observer->on_residual(layer, point, rows.rows[row].position,
                          {residual_row(row), config.hidden});
  }
}

void Forward::Step::add_scaled(float* x, const float* addend, float scale) const {
  if (scale == 1) return add_to(x, {addend, config.hidden});
  for (uint32_t i = 0; i < config.hidden; ++i) x[i] += addend[i] * scale;
}

void Forward::Step::add_mixed(uint32_t row) {
  if (!mixes()) return;
  float* addend = mixed_row(row);
  if (config.post_norms) norm(addend, weights().mixer_post_norm, {}, addend);
  add_to_residual(row, addend, config.residual_scale);
}

// Of a dense layer.
void Forward::Step::add_feed_forward(uint32_t row) {
  const float* addend = ffn.output(row);
  if (config.post_norms) {
    norm(addend, weights().ffn_post_norm, {}, mixed_row(row));
    addend = mixed_row(row);
  }
  add_to_residual(row, addend, config.residual_scale);
}

// The shared expert first, then the routed ones.
void Forward::Step::add_experts(uint32_t row, const ExpertSums& routed) {
  if (config.dense_beside_experts) return add_both_parts(row, routed);
  const bool has_shared = !weights().shared.empty();
  if (!config.post_norms) {
    const float scale = config.residual_scale * config.expert_scale;
    if (has_shared) add_to_residual(row, ffn.output(row), scale);
    return add_routed(row, routed, scale, residual_row(row));
  }
  float* addend = mixed_row(row);
  std::fill_n(addend, config.hidden, 0.0F);
  if (has_shared) add_to(addend, {ffn.output(row), config.hidden});
  add_routed(row, routed, 1, addend);
  norm(addend, weights().ffn_post_norm, {}, addend);
  add_to_residual(row, addend, config.residual_scale);
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
  add_to_residual(row, addend, config.residual_scale);
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
  add_mixed(row);
  if (!config.parallel_block) norm(x, w.ffn_norm, w.ffn_norm_bias, input);
  const float* expert_input = has_experts ? choice.read_residual(row, x, input) : input;
  float magnitude = largest_magnitude({x, config.hidden});
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
  for_rows(pool, row_count(), [&](uint32_t row) { begin_ffn(row); });
  show(ResidualPoint::kMixer);
}

void Forward::Step::choose_experts() {
  choice.run(normed, row_count());
  for (uint32_t row = 0; row < row_count(); ++row) {
    if (!choice.is_good(row)) fail(row, RowFault::kRouter);
  }
  if (wants_prefetch) prefetch.run(layer, row_count(), residual.data());
  make_batch();
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

void Forward::Step::compute_logits() {
  logit_rows = row_count();
  if (logit_rows == 0) return;
  output.run(residual.data(), logit_rows);
  for_rows(pool, logit_rows, [&](uint32_t row) {
    if (!std::isfinite(largest_magnitude(output.row(row)))) fail(row, RowFault::kLogits);
  });
}

Forward::Forward(const Model& model, const KernelTable& kernels, ThreadPool& pool)
    : step_(std::make_unique<Step>(model, kernels, pool)) {}

Forward::~Forward() = default;

void Forward::set_prefetch(bool on) {
  step_->wants_prefetch = on;
  step_->prefetch.clear();
}

void Forward::set_observer(LayerObserver* observer) {
  step_->observer = observer;
}

void Forward::begin(std::span<const ForwardRow> rows) {
  step_->begin(rows);
}

ForwardState Forward::advance() {
  return step_->advance();
}

const ExpertBatch& Forward::batch() const {
  CHECK(step_->waiting);
  return step_->batch;
}

void Forward::meanwhile() {
  step_->meanwhile();
}

void Forward::supply(const ExpertSums& sums) {
  step_->supply(sums);
}

ExpertSums& Forward::sums() {
  return step_->sums;
}

std::span<const float> Forward::logits(uint32_t i) const {
  CHECK(i < step_->logit_rows);
  return step_->output.row(i);
}

Status Forward::row_status(uint32_t row) const {
  CHECK(row < step_->faults.size());
  return fault_status(step_->faults[row], step_->positions[row]);
}

}  // namespace potluck
