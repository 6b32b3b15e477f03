#include "engine/model/forward.h"

#include <cmath>

#include "engine/model/fixed_scale.h"
#include "engine/model/forward_step.h"

namespace potluck {

Forward::Step::Step(const Model& from, const KernelTable& table, ThreadPool& threads)
    : model(from),
      config(from.config()),
      compute{table, threads},
      kernels(table),
      pool(threads),
      ropes{RopeFrequencies(config.rope, from.weights().rope_divisors),
            RopeFrequencies(config.window_rope)},
      long_rope(config.rope, from.weights().long_divisors),
      per_layer(from, compute),
      mixers(from, compute),
      choice(from, compute),
      ffn(compute),
      latent(compute),
      prefetch(from, compute),
      hyper(config, compute),
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
  grow(residual, uint64_t{row_count()} * config.residual_columns());
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
    for (uint32_t i = 1; i < config.hyper.streams; ++i) {
      std::copy_n(x, config.hidden, x + uint64_t{i} * config.hidden);
    }
    fill_ropes(row, wanted[row]);
  });
  tokens.clear();
  for (const ForwardRow& row : wanted) tokens.push_back(row.token);
  per_layer.begin(tokens, residual.data());
}

void Forward::Step::fill_ropes(uint32_t row, const ForwardRow& from) {
  for (size_t i = 0; i < ropes.size(); ++i) {
    const bool is_long = i == 0 && config.rope.takes_long(from.cache->capacity());
    const RopeFrequencies& rope = is_long ? long_rope : ropes[i];
    RopeAngles& angles = rows.ropes[i];
    const uint64_t first = uint64_t{row} * angles.pairs;
    rope.fill(from.position, angles.cosines.data() + first, angles.sines.data() + first);
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
  read_streams(weights().mixer_hyper);
  for_rows(pool, row_count(), [&](uint32_t row) {
    norm(part_input(row), weights().mixer_norm, weights().mixer_norm_bias, normed.row(row));
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
      std::copy_n(residual_row(row), config.residual_columns(), residual_row(kept));
      if (mixes()) mixers.of(config.mixer(layer)).move_row(row, kept);
      if (mixes() && has_streams()) hyper.move_row(row, kept);
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
                          {residual_row(row), config.residual_columns()});
  }
}

void Forward::Step::compute_logits() {
  logit_rows = row_count();
  if (logit_rows == 0) return;
  read_streams(model.weights().output_hyper);
  output.run(part_inputs(), logit_rows);
  for_rows(pool, logit_rows, [&](uint32_t row) {
    if (!std::isfinite(largest_magnitude(output.row(row)))) fail(row, RowFault::kLogits);
  });
}

Forward::Forward(const Model& model, const KernelTable& kernels, ThreadPool& pool)
    : step_(std::make_unique<Step>(model, kernels, pool)) {}

Forward::~Forward() = default;

void Forward::set_read_ahead(ReadAhead what) {
  step_->read_ahead = what;
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

double Forward::share_done() const {
  return static_cast<double>(step_->layer) / step_->config.layers;
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

std::span<const float> Forward::logits(uint32_t i, uint32_t rows) const {
  CHECK(i < step_->logit_rows && rows <= step_->logit_rows - i);
  return {step_->output.row(i).data(), rows * step_->output.row(i).size()};
}

Status Forward::row_status(uint32_t row) const {
  CHECK(row < step_->faults.size());
  return fault_status(step_->faults[row], step_->positions[row]);
}

}  // namespace potluck
