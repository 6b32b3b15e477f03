#include "engine/model/indexer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/model/best_scores.h"
#include "engine/model/norm.h"

namespace potluck {
namespace {

// The layer norm of DeepSeek V3.2's index keys; no file says it.
constexpr float kIndexEpsilon = 1e-6F;
constexpr float kForced = std::numeric_limits<float>::infinity();
constexpr float kUnordered = -std::numeric_limits<float>::infinity();

// sums[i] += weight * max(values[i], 0). There are whole panels of values, so the compiler may
// count on whole vectors.
void add_positive(std::span<const float> values, float weight, float* sums) {
  for (size_t first = 0; first < values.size(); first += kPanelRows) {
    for (size_t i = first; i < first + kPanelRows; ++i) {
      sums[i] += weight * std::max(values[i], 0.0F);
    }
  }
}

// The largest of `start` and the values, of which those that are no numbers do not count. Which of
// equal ones it is does not matter, so the compiler may take vectors.
float largest_of(std::span<const float> values, float start) {
  float lanes[8];
  std::ranges::fill(lanes, start);
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  float largest = lanes[0];
  for (float lane : lanes) largest = std::max(largest, lane);
  for (; i < values.size(); ++i) largest = std::max(largest, values[i]);
  return largest;
}

void set_bits(uint32_t begin, uint32_t end, std::vector<uint64_t>& bits) {
  for (uint32_t p = begin; p < end; ++p) bits[p / 64] |= uint64_t{1} << (p % 64);
}

}  // namespace

void PositionSelection::reset(uint32_t rows, uint32_t groups) {
  groups_ = groups;
  bits_.resize(uint64_t{rows} * groups);
}

void PositionSelection::move_row(uint32_t from, uint32_t to) {
  if (bits_.size() < uint64_t{from + 1} * groups_) return;
  for (uint32_t group = 0; group < groups_; ++group) at(to, group) = at(from, group);
}

Indexer::Indexer(const Model& model, const ComputeContext& compute)
    : model_(model), config_(model.config()), indexer_(config_.indexer), compute_(compute) {}

void Indexer::input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const {
  if (!config_.has_indexer(layer)) return;
  for (const WeightMatrix* matrix : {&weights(layer).key, &weights(layer).weights}) {
    if (!matrix->empty()) forms->push_back(matrix->form());
  }
}

void Indexer::query_forms(uint32_t layer, std::vector<ActivationForm>* forms) const {
  if (config_.has_indexer(layer)) forms->push_back(weights(layer).query.form());
}

const PositionSelection* Indexer::selection(uint32_t layer) const {
  // Layers without an indexer take what the last one before them chose, where the family says so.
  const bool selects = config_.has_indexer(layer) || indexer_.kind == IndexerKind::kPositions;
  return selects ? &selection_ : nullptr;
}

void Indexer::run(uint32_t layer, const StepRows& rows, const ActivationRows& input,
                  const ActivationRows& query_input) {
  if (!config_.has_indexer(layer)) return;
  const IndexerWeights& w = weights(layer);
  Product products[3];
  size_t count = 0;
  products[count++] = project(w.query, query_input, rows.count(), queries_);
  if (has_keys()) products[count++] = project(w.key, input, rows.count(), keys_);
  if (!by_block()) products[count++] = project(w.weights, input, rows.count(), weights_);
  run_products(compute_.threads, compute_.kernels, std::span(products).first(count));
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) { finish_row(layer, rows, row); });
  // Only now, when the keys of all rows are there: rows see those before them in the same step.
  selection_.reset(rows.count(), by_block() ? indexer_.heads : 1);
  choose_rows(layer, rows);
}

// Norms and turns a row's key, which goes into the cache.
void Indexer::store_key(uint32_t layer, const StepRows& rows, uint32_t row) {
  const IndexerWeights& w = weights(layer);
  const uint32_t size = indexer_.dimensions;
  float* key = keys_.data() + uint64_t{row} * size;
  if (by_block()) {
    compute_.kernels.rms_norm(key, w.key_norm.data(), size, config_.norm_epsilon, key);
  } else {
    layer_norm(compute_.kernels, kIndexEpsilon, key, w.key_norm, w.key_norm_bias, key);
  }
  rows.turn(LayerRope::kMain, indexer_.pairs, row, key);
  rows.caches[row]->put_index_key(layer, rows.rows[row].position, {key, size});
}

// Norms and turns a row's queries.
void Indexer::finish_row(uint32_t layer, const StepRows& rows, uint32_t row) {
  const IndexerWeights& w = weights(layer);
  const uint32_t size = indexer_.dimensions;
  if (has_keys()) store_key(layer, rows, row);
  // Of entries the last values are turned.
  const uint32_t turned = has_keys() ? 0 : size - config_.rope.dimensions;
  float* query = queries_.data() + uint64_t{row} * indexer_.heads * size;
  for (uint32_t head = 0; head < indexer_.heads; ++head, query += size) {
    if (!w.query_norm.empty()) {
      compute_.kernels.rms_norm(query, w.query_norm.data(), size, config_.norm_epsilon, query);
    }
    rows.turn(LayerRope::kMain, indexer_.pairs, row, query + turned);
  }
  if (weights_.empty()) return;
  const auto scale =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(indexer_.heads) * size));
  float* of_heads = weights_.data() + uint64_t{row} * indexer_.heads;
  for (uint32_t head = 0; head < indexer_.heads; ++head) of_heads[head] *= scale;
}

// Of some chunks, [first, end): calls use(head, first key, products) with the q . k of all keys of
// a chunk, heads in sequence.
template <class Use>
void Indexer::multiply(uint32_t layer, const AttentionRow& row, uint32_t index, ChunkRange range,
                       const Use& use) const {
  const uint32_t size = indexer_.dimensions;
  const uint32_t per_chunk = row.cache->index_keys_per_chunk(layer);
  std::vector<float> products(uint64_t{indexer_.heads} * per_chunk);
  ActivationView queries;
  queries.tokens = indexer_.heads;
  queries.columns = size;
  queries.values = queries_.data() + uint64_t{index} * indexer_.heads * size;
  // A panel's row is a key, so each key is a lane of its own.
  const PanelShape shape{TensorType::kF32, per_chunk, size, 0};
  for (uint32_t chunk = range.first; chunk < range.end; ++chunk) {
    const auto* keys = reinterpret_cast<const std::byte*>(row.cache->index_keys(layer, chunk));
    compute_.kernels.matmul({shape, keys}, queries, nullptr, indexer_.heads, 0, shape.panels(),
                            products.data(), per_chunk);
    for (uint32_t head = 0; head < indexer_.heads; ++head) {
      use(head, uint64_t{chunk} * per_chunk,
          std::span<const float>(products.data() + uint64_t{head} * per_chunk, per_chunk));
    }
  }
}

uint32_t Indexer::chunks_of(uint32_t layer, const AttentionRow& row) const {
  const uint32_t visible = (row.position + 1) / std::max(1U, config_.compress_ratio(layer));
  const uint32_t per_chunk = row.cache->index_keys_per_chunk(layer);
  return (visible + per_chunk - 1) / per_chunk;
}

// Whole chunks of scores, so that threads may share a row.
void Indexer::score(uint32_t layer, const AttentionRow& row, uint32_t index, ChunkRange range,
                    std::vector<float>& scores) const {
  multiply(layer, row, index, range,
           [&](uint32_t head, uint64_t first, std::span<const float> products) {
             const float weight = weights_[uint64_t{index} * indexer_.heads + head];
             add_positive(products, weight, scores.data() + first);
           });
}

// The rows of a step; with few of them, the threads divide the positions of each.
void Indexer::choose_rows(uint32_t layer, const StepRows& rows) {
  const auto threads = static_cast<uint32_t>(compute_.threads.threads());
  if (by_block() || rows.count() >= threads) {
    return for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
      if (by_block()) return choose_blocks(layer, rows.rows[row], row);
      std::vector<float> scores;
      if (!begin_row(layer, rows.rows[row], row, scores)) return;
      score(layer, rows.rows[row], row, {0, chunks_of(layer, rows.rows[row])}, scores);
      choose_best(layer, rows.rows[row], row, scores);
    });
  }
  for (uint32_t row = 0; row < rows.count(); ++row) {
    std::vector<float> scores;
    if (!begin_row(layer, rows.rows[row], row, scores)) continue;
    const uint32_t chunks = chunks_of(layer, rows.rows[row]);
    for_rows(compute_.threads, chunks, [&](uint32_t chunk) {
      score(layer, rows.rows[row], row, {chunk, chunk + 1}, scores);
    });
    choose_best(layer, rows.rows[row], row, scores);
  }
}

// Room for the scores of a row; false if it sees everything.
bool Indexer::begin_row(uint32_t layer, const AttentionRow& row, uint32_t index,
                        std::vector<float>& scores) {
  selection_.at(index, 0).clear();
  if ((row.position + 1) / std::max(1U, config_.compress_ratio(layer)) <= indexer_.top_k) {
    return false;
  }
  const uint32_t per_chunk = row.cache->index_keys_per_chunk(layer);
  scores.assign(uint64_t{chunks_of(layer, row)} * per_chunk, 0.0F);
  return true;
}

// Of positions, or of entries that are complete.
void Indexer::choose_best(uint32_t layer, const AttentionRow& row, uint32_t index,
                          std::vector<float>& scores) {
  scores.resize((row.position + 1) / std::max(1U, config_.compress_ratio(layer)));
  for (float& value : scores) {
    if (std::isnan(value)) value = kUnordered;
  }
  std::vector<uint64_t>& bits = selection_.at(index, 0);
  bits.assign((scores.size() + 63) / 64, 0);
  for (uint32_t i : best_scores(scores, indexer_.top_k)) set_bits(i, i + 1, bits);
}

void Indexer::choose_blocks(uint32_t layer, const AttentionRow& row, uint32_t index) {
  const uint32_t visible = row.position + 1;
  const uint32_t size = indexer_.block;
  const uint32_t blocks = (visible + size - 1) / size;
  for (uint32_t head = 0; head < indexer_.heads; ++head) selection_.at(index, head).clear();
  if (blocks <= indexer_.top_k) return;
  std::vector<float> scores(uint64_t{indexer_.heads} * blocks, kUnordered);
  multiply(layer, row, index, {0, chunks_of(layer, row)},
           [&](uint32_t head, uint64_t first, std::span<const float> products) {
             float* of_head = scores.data() + uint64_t{head} * blocks;
             const uint64_t count = std::min<uint64_t>(products.size(), visible - first);
             for (uint64_t i = 0; i < count;) {
               const uint64_t block = (first + i) / size;
               const uint64_t end = std::min((block + 1) * size - first, count);
               of_head[block] = largest_of(products.subspan(i, end - i), of_head[block]);
               i = end;
             }
           });
  for (uint32_t head = 0; head < indexer_.heads; ++head) {
    const std::span<float> of_head(scores.data() + uint64_t{head} * blocks, blocks);
    std::ranges::fill(of_head.last(indexer_.local_blocks), kForced);
    std::vector<uint64_t>& bits = selection_.at(index, head);
    bits.assign((visible + 63) / 64, 0);
    for (uint32_t b : best_scores(of_head, indexer_.top_k)) {
      set_bits(b * size, std::min((b + 1) * size, visible), bits);
    }
  }
}

}  // namespace potluck
