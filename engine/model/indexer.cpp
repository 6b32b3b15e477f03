#include "engine/model/indexer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/model/norm.h"

namespace potluck {
namespace {

// The layer norm of DeepSeek V3.2's index keys; no file says it.
constexpr float kIndexEpsilon = 1e-6F;
constexpr float kForced = std::numeric_limits<float>::infinity();
constexpr float kUnordered = -std::numeric_limits<float>::infinity();

// The `count` best, ties to the lower index; in no particular order.
std::vector<uint32_t> best_of(std::span<const float> scores, uint32_t count) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::nth_element(order.begin(), order.begin() + count, order.end(), [&](uint32_t a, uint32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  order.resize(count);
  return order;
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
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    if (by_block()) return choose_blocks(layer, rows.rows[row], row);
    choose_best(layer, rows.rows[row], row);
  });
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

// scores[i] = q . k_i of all keys that are visible, and some beyond them in the last chunk.
void Indexer::score(uint32_t layer, const KvCache& cache, uint32_t visible, const float* query,
                    float* scores) const {
  const uint32_t per_chunk = cache.index_keys_per_chunk(layer);
  for (uint32_t chunk = 0; chunk * per_chunk < visible; ++chunk) {
    // Keys lie side by side, so that each is a lane of its own.
    const float* keys = cache.index_keys(layer, chunk);
    float* of_chunk = scores + uint64_t{chunk} * per_chunk;
    std::fill_n(of_chunk, per_chunk, 0.0F);
    for (uint32_t d = 0; d < indexer_.dimensions; ++d, keys += per_chunk) {
      for (uint32_t i = 0; i < per_chunk; ++i) of_chunk[i] += query[d] * keys[i];
    }
  }
}

// Of positions, or of entries that are complete.
void Indexer::choose_best(uint32_t layer, const AttentionRow& row, uint32_t index) {
  std::vector<uint64_t>& bits = selection_.at(index, 0);
  bits.clear();
  const uint32_t ratio = std::max(1U, config_.compress_ratio(layer));
  const uint32_t visible = (row.position + 1) / ratio;
  if (visible <= indexer_.top_k) return;
  const uint64_t padded = round_up(visible, row.cache->index_keys_per_chunk(layer));
  std::vector<float> products(padded);
  std::vector<float> scores(padded, 0.0F);
  const float* query = queries_.data() + uint64_t{index} * indexer_.heads * indexer_.dimensions;
  for (uint32_t head = 0; head < indexer_.heads; ++head, query += indexer_.dimensions) {
    score(layer, *row.cache, visible, query, products.data());
    const float weight = weights_[uint64_t{index} * indexer_.heads + head];
    for (uint64_t i = 0; i < visible; ++i) scores[i] += weight * std::max(products[i], 0.0F);
  }
  for (float& value : scores) {
    if (std::isnan(value)) value = kUnordered;
  }
  bits.assign((visible + 63) / 64, 0);
  for (uint32_t i : best_of({scores.data(), visible}, indexer_.top_k)) set_bits(i, i + 1, bits);
}

void Indexer::choose_blocks(uint32_t layer, const AttentionRow& row, uint32_t index) {
  const uint32_t visible = row.position + 1;
  const uint32_t size = indexer_.block;
  const uint32_t blocks = (visible + size - 1) / size;
  std::vector<float> products(round_up(visible, kAttentionChunk));
  for (uint32_t head = 0; head < indexer_.heads; ++head) {
    std::vector<uint64_t>& bits = selection_.at(index, head);
    bits.clear();
    if (blocks <= indexer_.top_k) continue;
    const uint64_t first = (uint64_t{index} * indexer_.heads + head) * indexer_.dimensions;
    score(layer, *row.cache, visible, queries_.data() + first, products.data());
    std::vector<float> scores(blocks, kUnordered);
    // A maximum of what is no number stays as it was: the largest so far comes first.
    for (uint32_t p = 0; p < visible; ++p) {
      scores[p / size] = std::max(scores[p / size], products[p]);
    }
    for (uint32_t b = blocks - indexer_.local_blocks; b < blocks; ++b) scores[b] = kForced;
    bits.assign((visible + 63) / 64, 0);
    for (uint32_t b : best_of(scores, indexer_.top_k)) {
      set_bits(b * size, std::min((b + 1) * size, visible), bits);
    }
  }
}

}  // namespace potluck
