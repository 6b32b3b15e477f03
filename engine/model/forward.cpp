#include "engine/model/forward.h"

#include <cmath>

#include "engine/model/attention.h"
#include "engine/model/fixed_scale.h"
#include "engine/model/rope.h"
#include "engine/model/router.h"
#include "engine/model/row_fault.h"
#include "engine/model/rows.h"

namespace potluck {
namespace {

void add_to(float* sum, const float* addend, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) sum[i] += addend[i];
}

Status run_to_end(Forward& forward, ExpertExecutor& executor) {
  while (forward.advance() == ForwardState::kNeedsExperts) {
    ExpertExecutor::Ticket ticket = executor.submit(forward.batch(), &forward.sums());
    Status answered = executor.wait(ticket);
    if (!answered) return answered;
    forward.supply(forward.sums());
  }
  return {};
}

}  // namespace

// All state of a step. "Rows" below are the rows still computed: all of them up to the last layer's
// keys and values, from there on those that want logits.
struct Forward::Step {
  Step(const Model& from, const KernelTable& table, ThreadPool& threads);

  void begin(std::span<const ForwardRow> rows);
  ForwardState advance();
  void supply(const ExpertSums& sums);

  uint32_t row_count() const { return static_cast<uint32_t>(rows.size()); }
  float* residual_row(uint32_t row) { return residual.data() + uint64_t{row} * config.hidden; }
  const LayerWeights& weights() const { return model.weights().layers[layer]; }
  Product product(const WeightMatrix& matrix, const ActivationRows& x, std::vector<float>& y);

  void embed(std::span<const ForwardRow> wanted);
  void attend();
  void turn_and_store(uint32_t row);
  void keep_wanted_rows();
  void normalize_for_ffn();
  void choose_experts();
  void make_batch(ActivationForm form);
  void feed_forward();
  void compute_logits();
  RowFault& fault_of(uint32_t row) { return faults[sources[row]]; }
  void fail(uint32_t row, RowFault::Kind kind);

  const Model& model;
  const ModelConfig& config;
  const KernelTable& kernels;
  ThreadPool& pool;
  RopeFrequencies rope;
  Attention attention;

  uint32_t layer = 0;
  bool waiting = false;                // for supply()
  uint32_t logit_rows = 0;             // valid in kDone
  std::vector<AttentionRow> rows;      // [rows]
  std::vector<KvCache*> caches;        // [rows]
  std::vector<uint32_t> sources;       // [rows]: which row of begin() it was
  std::vector<uint8_t> wants_logits;   // [rows of begin()]
  std::vector<RowFault> faults;        // [rows of begin()]
  std::vector<uint32_t> positions;     // [rows of begin()]
  std::vector<float> cosines;          // [rows, rope pairs]
  std::vector<float> sines;            // [rows, rope pairs]
  std::vector<float> residual;         // [rows, hidden]
  ActivationRows normed;               // [rows, hidden]
  std::vector<float> queries;          // [rows, heads * head_dim]
  std::vector<float> keys;             // [rows, kv_heads * head_dim]
  std::vector<float> values;           // [rows, kv_heads * value_dim]
  ActivationRows attended;             // [rows, heads * value_dim]
  std::vector<float> projected;        // [rows, hidden]: what is added to the residual
  std::vector<float> gate;             // [rows, ffn_width], dense layers only
  std::vector<float> up;               // [rows, ffn_width]
  ActivationRows gated;                // [rows, ffn_width]
  std::vector<float> router_logits;    // [rows, experts]
  std::vector<float> probabilities;    // [rows, experts]
  std::vector<uint32_t> experts;       // [rows, top_k]
  std::vector<float> expert_weights;   // [rows, top_k]
  std::vector<int32_t> fraction_bits;  // [rows]
  ExpertBatch batch;
  ExpertSums sums;
  std::vector<float> logits;  // [rows that want them, vocabulary]
};

Forward::Step::Step(const Model& from, const KernelTable& table, ThreadPool& threads)
    : model(from),
      config(from.config()),
      kernels(table),
      pool(threads),
      rope(config.rope_dimensions, config.rope_base),
      attention(config, table, threads) {}

void Forward::Step::begin(std::span<const ForwardRow> wanted) {
  CHECK(!wanted.empty());
  rows.clear();
  caches.clear();
  sources.clear();
  wants_logits.clear();
  positions.clear();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const ForwardRow& row = wanted[i];
    bool follows = i > 0 && wanted[i - 1].cache == row.cache;
    CHECK(row.position == (follows ? wanted[i - 1].position + 1 : row.cache->length()));
    CHECK(row.position < row.cache->capacity());
    CHECK(row.token >= 0 && static_cast<uint32_t>(row.token) < config.vocabulary);
    rows.push_back({row.cache, row.position});
    caches.push_back(row.cache);
    sources.push_back(static_cast<uint32_t>(i));
    wants_logits.push_back(row.wants_logits ? 1 : 0);
    positions.push_back(row.position);
  }
  faults.assign(wanted.size(), {});
  layer = 0;
  waiting = false;
  logit_rows = 0;
  embed(wanted);
}

void Forward::Step::embed(std::span<const ForwardRow> wanted) {
  uint64_t pairs = rope.pairs();
  grow(residual, uint64_t{row_count()} * config.hidden);
  grow(cosines, row_count() * pairs);
  grow(sines, row_count() * pairs);
  for_rows(pool, row_count(), [&](uint32_t row) {
    unpack_row(model.weights().token_embedding.view(), static_cast<uint32_t>(wanted[row].token),
               residual_row(row));
    rope.fill(wanted[row].position, cosines.data() + row * pairs, sines.data() + row * pairs);
  });
}

ForwardState Forward::Step::advance() {
  CHECK(!waiting);
  for (; layer < config.layers && row_count() > 0; ++layer) {
    attend();
    if (row_count() == 0) break;
    normalize_for_ffn();
    if (!weights().router.empty()) {
      choose_experts();
      waiting = true;
      return ForwardState::kNeedsExperts;
    }
    feed_forward();
  }
  compute_logits();
  return ForwardState::kDone;
}

// Makes room for the product and describes it.
Product Forward::Step::product(const WeightMatrix& matrix, const ActivationRows& x,
                               std::vector<float>& y) {
  uint32_t stride = matrix.shape().rows;
  grow(y, uint64_t{row_count()} * stride);
  return {matrix.view(), x.view(matrix.form()), y.data(), stride};
}

void Forward::Step::attend() {
  const LayerWeights& w = weights();
  const ActivationForm forms[] = {w.query.form(), w.key.form(), w.value.form()};
  normed.reset(forms, row_count(), config.hidden);
  for_rows(pool, row_count(), [&](uint32_t row) {
    kernels.rms_norm(residual_row(row), w.attention_norm.data(), config.hidden, config.norm_epsilon,
                     normed.row(row));
    normed.quantize_row(kernels, row);
  });
  const Product inputs[] = {product(w.query, normed, queries), product(w.key, normed, keys),
                            product(w.value, normed, values)};
  run_products(pool, kernels, inputs);
  for_rows(pool, row_count(), [&](uint32_t row) { turn_and_store(row); });
  if (layer + 1 == config.layers) keep_wanted_rows();
  if (row_count() == 0) return;

  const ActivationForm form[] = {w.attention_output.form()};
  attended.reset(form, row_count(), config.attention_columns());
  attention.run(layer, rows, queries.data(), attended.row(0));
  for_rows(pool, row_count(), [&](uint32_t row) { attended.quantize_row(kernels, row); });
  const Product output[] = {product(w.attention_output, attended, projected)};
  run_products(pool, kernels, output);
}

// Norm and rope of one row's query and key heads; the keys and values go into the cache.
void Forward::Step::turn_and_store(uint32_t row) {
  const LayerWeights& w = weights();
  uint32_t size = config.head_dim;
  const float* c = cosines.data() + uint64_t{row} * rope.pairs();
  const float* s = sines.data() + uint64_t{row} * rope.pairs();
  auto turn = [&](float* head, const std::vector<float>& norm) {
    if (!norm.empty()) kernels.rms_norm(head, norm.data(), size, config.norm_epsilon, head);
    rotate_half_split(c, s, rope.pairs(), head);
  };
  float* query = queries.data() + uint64_t{row} * config.query_columns();
  for (uint32_t head = 0; head < config.heads; ++head) turn(query + head * size, w.query_norm);
  float* key = keys.data() + uint64_t{row} * config.key_columns();
  const float* value = values.data() + uint64_t{row} * config.value_columns();
  for (uint32_t head = 0; head < config.kv_heads; ++head) {
    turn(key + head * size, w.key_norm);
    caches[row]->put(layer, head, rows[row].position, key + head * size,
                     value + head * config.value_dim);
  }
}

// After the last layer's keys and values only rows whose logits are wanted matter: the others'
// would be computed for nobody.
void Forward::Step::keep_wanted_rows() {
  uint32_t kept = 0;
  for (uint32_t row = 0; row < row_count(); ++row) {
    if (wants_logits[sources[row]] == 0) continue;
    if (kept != row) {
      uint64_t columns = config.query_columns();
      std::copy_n(residual_row(row), config.hidden, residual_row(kept));
      std::copy_n(queries.data() + row * columns, columns, queries.data() + kept * columns);
      rows[kept] = rows[row];
      sources[kept] = sources[row];
    }
    ++kept;
  }
  rows.resize(kept);
  sources.resize(kept);
}

// The first fault of a row is the one that counts.
void Forward::Step::fail(uint32_t row, RowFault::Kind kind) {
  if (!fault_of(row)) fault_of(row) = {kind, layer};
}

// Adds the attention's output to the residual and norms it, for router and experts or a dense
// feed-forward part. A row that failed goes on as zeros: harmless, whoever computes it.
void Forward::Step::normalize_for_ffn() {
  const LayerWeights& w = weights();
  bool routed = !w.router.empty();
  ActivationForm forms[2];
  forms[0] = routed ? model.bank(layer)->shape.input_form() : w.ffn_gate.form();
  forms[1] = routed ? w.router.form() : w.ffn_up.form();
  normed.reset(forms, row_count(), config.hidden);
  fraction_bits.resize(row_count());
  for_rows(pool, row_count(), [&](uint32_t row) {
    float* x = residual_row(row);
    add_to(x, projected.data() + uint64_t{row} * config.hidden, config.hidden);
    kernels.rms_norm(x, w.ffn_norm.data(), config.hidden, config.norm_epsilon, normed.row(row));
    float magnitude = largest_magnitude({x, config.hidden});
    float normed_magnitude = largest_magnitude({normed.row(row), config.hidden});
    if (!std::isfinite(magnitude) || !std::isfinite(normed_magnitude)) fail(row, RowFault::kHidden);
    if (fault_of(row)) {
      std::fill_n(normed.row(row), config.hidden, 0.0F);
      magnitude = 0;
    }
    fraction_bits[row] = fraction_bits_for(magnitude);
    normed.quantize_row(kernels, row);
  });
}

void Forward::Step::choose_experts() {
  const RouterConfig& router = config.router;
  const Product input[] = {product(weights().router, normed, router_logits)};
  run_products(pool, kernels, input);
  grow(probabilities, uint64_t{row_count()} * router.experts);
  experts.resize(uint64_t{row_count()} * router.top_k);
  expert_weights.resize(uint64_t{row_count()} * router.top_k);
  for_rows(pool, row_count(), [&](uint32_t row) {
    uint64_t first = uint64_t{row} * router.experts;
    std::span<float> chosen(expert_weights.data() + uint64_t{row} * router.top_k, router.top_k);
    route(router, kernels, {router_logits.data() + first, router.experts},
          {probabilities.data() + first, router.experts},
          {experts.data() + uint64_t{row} * router.top_k, router.top_k}, chosen);
    if (std::isfinite(chosen[0])) return;
    std::ranges::fill(chosen, 0.0F);
    fail(row, RowFault::kRouter);
  });
  make_batch(model.bank(layer)->shape.input_form());
}

void Forward::Step::make_batch(ActivationForm form) {
  batch.layer = layer;
  batch.top_k = config.router.top_k;
  batch.input = normed.view(form);
  batch.fraction_bits = fraction_bits;
  batch.experts = experts;
  batch.weights = expert_weights;
}

void Forward::Step::supply(const ExpertSums& routed) {
  CHECK(waiting);
  CHECK(routed.sums.size() == uint64_t{row_count()} * config.hidden);
  CHECK(routed.flags.size() == row_count());
  for_rows(pool, row_count(), [&](uint32_t row) {
    add_fixed_point({routed.sums.data() + uint64_t{row} * config.hidden, config.hidden},
                    fraction_bits[row], residual_row(row));
    if (routed.flags[row] != 0) fail(row, RowFault::kExperts);
  });
  waiting = false;
  ++layer;
}

// The feed-forward part of a dense layer.
void Forward::Step::feed_forward() {
  const LayerWeights& w = weights();
  const Product inputs[] = {product(w.ffn_gate, normed, gate), product(w.ffn_up, normed, up)};
  run_products(pool, kernels, inputs);
  const ActivationForm form[] = {w.ffn_down.form()};
  gated.reset(form, row_count(), config.ffn_width);
  for_rows(pool, row_count(), [&](uint32_t row) {
    uint64_t first = uint64_t{row} * config.ffn_width;
    kernels.swiglu(gate.data() + first, up.data() + first, config.ffn_width, gated.row(row));
    gated.quantize_row(kernels, row);
  });
  const Product output[] = {product(w.ffn_down, gated, projected)};
  run_products(pool, kernels, output);
  for_rows(pool, row_count(), [&](uint32_t row) {
    add_to(residual_row(row), projected.data() + uint64_t{row} * config.hidden, config.hidden);
  });
}

void Forward::Step::compute_logits() {
  logit_rows = row_count();
  if (logit_rows == 0) return;
  const WeightMatrix& output = model.weights().output_matrix();
  const ActivationForm form[] = {output.form()};
  normed.reset(form, logit_rows, config.hidden);
  for_rows(pool, logit_rows, [&](uint32_t row) {
    kernels.rms_norm(residual_row(row), model.weights().output_norm.data(), config.hidden,
                     config.norm_epsilon, normed.row(row));
    normed.quantize_row(kernels, row);
  });
  const Product last[] = {product(output, normed, logits)};
  run_products(pool, kernels, last);
  for_rows(pool, logit_rows, [&](uint32_t row) {
    const float* first = logits.data() + uint64_t{row} * config.vocabulary;
    float largest = largest_magnitude({first, config.vocabulary});
    if (!std::isfinite(largest)) fail(row, RowFault::kLogits);
  });
}

Forward::Forward(const Model& model, const KernelTable& kernels, ThreadPool& pool)
    : step_(std::make_unique<Step>(model, kernels, pool)) {}

Forward::~Forward() = default;

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

void Forward::supply(const ExpertSums& sums) {
  step_->supply(sums);
}

ExpertSums& Forward::sums() {
  return step_->sums;
}

std::span<const float> Forward::logits(uint32_t i) const {
  CHECK(i < step_->logit_rows);
  uint32_t vocabulary = step_->config.vocabulary;
  return {step_->logits.data() + uint64_t{i} * vocabulary, vocabulary};
}

Status Forward::row_status(uint32_t row) const {
  CHECK(row < step_->faults.size());
  return fault_status(step_->faults[row], step_->positions[row]);
}

Status run_step(Forward& forward, std::span<const ForwardRow> rows, ExpertExecutor& executor) {
  forward.begin(rows);
  Status computed = run_to_end(forward, executor);
  if (!computed) return computed;
  for (uint32_t row = 0; row < rows.size(); ++row) {
    Status status = forward.row_status(row);
    if (!status) return status;
  }
  for (const ForwardRow& row : rows) row.cache->set_length(row.position + 1);
  return {};
}

}  // namespace potluck
