#include "engine/model/attention.h"

#include <algorithm>

#include "engine/kernels/exact_math.h"
#include "engine/model/rows.h"

namespace potluck {
namespace {

// Rows of a task read the same keys and values, which then stay in a core's cache.
constexpr uint32_t kRowsPerTask = 16;
// Query heads of a row that share a load of keys and values; fewer are not worth a task.
constexpr uint32_t kHeadsPerPart = 8;
// Bound on outputs_ (a single row may exceed it).
constexpr uint64_t kBlockBytes = 8 * kMiB;

}  // namespace

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      kernels_(kernels),
      pool_(pool),
      scratch_(static_cast<size_t>(pool.threads())) {
  for (Scratch& scratch : scratch_) {
    scratch.queries.reserve(size_t{kRowsPerTask} * config.group_size());
    scratch.scores.resize(kAttentionScratch);
  }
}

uint32_t Attention::first_visible(const AttentionRow& row) const {
  if (layer_.window == 0 || row.position < layer_.window) return 0;
  return row.position + 1 - layer_.window;
}

Attention::Chunks Attention::chunks_of(const AttentionRow& row) const {
  return {first_visible(row) / kAttentionChunk, row.position / kAttentionChunk + 1};
}

uint64_t Attention::partial_index(uint32_t row, uint32_t head, uint32_t chunk) const {
  uint64_t first = row_offsets_[row - block_begin_];
  uint64_t chunks = row_offsets_[row - block_begin_ + 1] - first;
  return first * config_.heads + head * chunks + chunk;
}

// Takes rows from `first` on until the block is full; returns the end. Sizes the scratch memory.
uint32_t Attention::plan_block(std::span<const AttentionRow> rows, uint32_t first) {
  block_begin_ = first;
  row_offsets_.assign(1, 0);
  uint64_t chunk_bytes = uint64_t{config_.heads} * config_.value_dim * sizeof(float);
  uint32_t end = first;
  do {
    row_offsets_.push_back(row_offsets_.back() + chunks_of(rows[end]).count());
    ++end;
  } while (end < rows.size() &&
           (row_offsets_.back() + chunks_of(rows[end]).count()) * chunk_bytes <= kBlockBytes);
  uint64_t partials = row_offsets_.back() * config_.heads;
  if (partials_.size() < partials) {
    partials_.resize(partials);
    outputs_.resize(partials * config_.value_dim);
  }
  return end;
}

void Attention::plan_tasks(std::span<const AttentionRow> rows, uint32_t first, uint32_t end) {
  tasks_.clear();
  while (first < end) {
    uint32_t last = first + 1;
    while (last < end && last - first < kRowsPerTask && rows[last].cache == rows[first].cache) {
      ++last;
    }
    Chunks all = chunks_of(rows[first]);
    for (uint32_t row = first; row < last; ++row) {
      Chunks chunks = chunks_of(rows[row]);
      all = {std::min(all.first, chunks.first), std::max(all.end, chunks.end)};
    }
    for (uint32_t chunk = all.first; chunk < all.end; ++chunk) {
      tasks_.push_back({first, last - first, chunk});
    }
    first = last;
  }
}

// One KV head of many query heads (latent attention) is cut into parts if there would be too little
// to do for the threads otherwise.
uint32_t Attention::choose_parts() const {
  auto threads = static_cast<uint32_t>(pool_.threads());
  if (threads == 1) return 1;
  auto tasks = std::max<uint64_t>(1, tasks_.size() * config_.kv_heads);
  auto wanted = static_cast<uint32_t>(threads * kTasksPerThread / tasks);
  return std::clamp(wanted, 1U, std::max(1U, config_.group_size() / kHeadsPerPart));
}

void Attention::run_task(const Task& task, uint32_t kv_head, uint32_t part,
                         std::span<const AttentionRow> rows, const float* queries, int thread) {
  AttentionChunk chunk = rows[task.first_row].cache->chunk(layer_.layer, kv_head, task.chunk);
  chunk.scale = config_.attention_scale;
  uint32_t chunk_begin = task.chunk * kAttentionChunk;
  uint32_t first_head = kv_head * config_.group_size() + config_.group_size() * part / parts_;
  uint32_t end_head = kv_head * config_.group_size() + config_.group_size() * (part + 1) / parts_;
  Scratch& scratch = scratch_[static_cast<size_t>(thread)];
  scratch.queries.clear();
  for (uint32_t row = task.first_row; row < task.first_row + task.rows; ++row) {
    Chunks chunks = chunks_of(rows[row]);
    if (task.chunk < chunks.first || task.chunk >= chunks.end) continue;
    uint32_t begin = std::max(first_visible(rows[row]), chunk_begin) - chunk_begin;
    uint32_t end = std::min(rows[row].position + 1 - chunk_begin, kAttentionChunk);
    const float* of_row = queries + uint64_t{row} * config_.query_columns();
    for (uint32_t head = first_head; head < end_head; ++head) {
      uint64_t index = partial_index(row, head, task.chunk - chunks.first);
      scratch.queries.push_back({of_row + uint64_t{head} * config_.head_dim, begin, end,
                                 outputs_.data() + index * config_.value_dim,
                                 partials_.data() + index});
    }
  }
  kernels_.attention_chunk(chunk, scratch.queries, scratch.scores.data());
}

void Attention::join_chunks(uint32_t row, uint32_t head, float* out) const {
  uint32_t dimensions = config_.value_dim;
  uint64_t chunks = row_offsets_[row - block_begin_ + 1] - row_offsets_[row - block_begin_];
  uint64_t first = partial_index(row, head, 0);
  const AttentionPartial* partials = partials_.data() + first;
  float largest = partials[0].max_score;
  if (!layer_.sinks.empty()) largest = std::max(largest, layer_.sinks[head]);
  for (uint64_t c = 1; c < chunks; ++c) largest = std::max(largest, partials[c].max_score);
  float sum = 0;
  std::fill(out, out + dimensions, 0.0F);
  for (uint64_t c = 0; c < chunks; ++c) {
    float factor = exact_exp(partials[c].max_score - largest);
    const float* part = outputs_.data() + (first + c) * dimensions;
    sum += factor * partials[c].sum;
    for (uint32_t d = 0; d < dimensions; ++d) out[d] += factor * part[d];
  }
  if (!layer_.sinks.empty()) sum += exact_exp(layer_.sinks[head] - largest);
  for (uint32_t d = 0; d < dimensions; ++d) out[d] /= sum;
}

void Attention::run(const AttentionLayer& layer, std::span<const AttentionRow> rows,
                    const float* queries, float* out) {
  layer_ = layer;
  for (uint32_t begin = 0; begin < rows.size();) {
    uint32_t end = plan_block(rows, begin);
    plan_tasks(rows, begin, end);
    parts_ = choose_parts();
    // Neighbors in this order are parts, then KV heads, then chunks.
    uint64_t per_task = uint64_t{config_.kv_heads} * parts_;
    pool_.run(tasks_.size() * per_task, [&](size_t i, int thread) {
      auto kv_head = static_cast<uint32_t>(i % per_task / parts_);
      auto part = static_cast<uint32_t>(i % parts_);
      run_task(tasks_[i / per_task], kv_head, part, rows, queries, thread);
    });
    for_rows(pool_, (end - begin) * config_.heads, [&](uint32_t i) {
      uint32_t row = begin + i / config_.heads;
      uint32_t head = i % config_.heads;
      uint64_t at = uint64_t{row} * config_.heads + head;
      join_chunks(row, head, out + at * config_.value_dim);
    });
    begin = end;
  }
}

}  // namespace potluck
