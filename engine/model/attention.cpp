#include "engine/model/attention.h"

#include <algorithm>

#include "engine/kernels/exact_math.h"
#include "engine/model/rows.h"

namespace potluck {
namespace {

// Rows of a task read the same keys and values, which then stay in a core's cache.
constexpr uint32_t kRowsPerTask = 16;
// Bound on outputs_ (a single row may exceed it).
constexpr uint64_t kBlockBytes = 8 * kMiB;

}  // namespace

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      kernels_(kernels),
      pool_(pool),
      scores_(static_cast<size_t>(pool.threads()) * kAttentionChunk) {}

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

void Attention::run_task(const Task& task, uint32_t kv_head, std::span<const AttentionRow> rows,
                         const float* queries, float* scores) {
  AttentionChunk chunk = rows[task.first_row].cache->chunk(layer_.layer, kv_head, task.chunk);
  chunk.scale = config_.attention_scale;
  uint32_t chunk_begin = task.chunk * kAttentionChunk;
  for (uint32_t row = task.first_row; row < task.first_row + task.rows; ++row) {
    Chunks chunks = chunks_of(rows[row]);
    if (task.chunk < chunks.first || task.chunk >= chunks.end) continue;
    chunk.begin = std::max(first_visible(rows[row]), chunk_begin) - chunk_begin;
    chunk.end = std::min(rows[row].position + 1 - chunk_begin, kAttentionChunk);
    for (uint32_t i = 0; i < config_.group_size(); ++i) {
      uint32_t head = kv_head * config_.group_size() + i;
      const float* query =
          queries + uint64_t{row} * config_.query_columns() + uint64_t{head} * config_.head_dim;
      uint64_t index = partial_index(row, head, task.chunk - chunks.first);
      partials_[index] = kernels_.attention_chunk(chunk, query, scores,
                                                  outputs_.data() + index * config_.value_dim);
    }
  }
}

void Attention::join_chunks(uint32_t row, float* out) const {
  uint32_t dimensions = config_.value_dim;
  uint64_t chunks = row_offsets_[row - block_begin_ + 1] - row_offsets_[row - block_begin_];
  for (uint32_t head = 0; head < config_.heads; ++head) {
    uint64_t first = partial_index(row, head, 0);
    const AttentionPartial* partials = partials_.data() + first;
    float* o = out + uint64_t{head} * dimensions;
    float largest = partials[0].max_score;
    if (!layer_.sinks.empty()) largest = std::max(largest, layer_.sinks[head]);
    for (uint64_t c = 1; c < chunks; ++c) largest = std::max(largest, partials[c].max_score);
    float sum = 0;
    std::fill(o, o + dimensions, 0.0F);
    for (uint64_t c = 0; c < chunks; ++c) {
      float factor = exact_exp(partials[c].max_score - largest);
      const float* part = outputs_.data() + (first + c) * dimensions;
      sum += factor * partials[c].sum;
      for (uint32_t d = 0; d < dimensions; ++d) o[d] += factor * part[d];
    }
    if (!layer_.sinks.empty()) sum += exact_exp(layer_.sinks[head] - largest);
    for (uint32_t d = 0; d < dimensions; ++d) o[d] /= sum;
  }
}

void Attention::run(const AttentionLayer& layer, std::span<const AttentionRow> rows,
                    const float* queries, float* out) {
  layer_ = layer;
  for (uint32_t begin = 0; begin < rows.size();) {
    uint32_t end = plan_block(rows, begin);
    plan_tasks(rows, begin, end);
    pool_.run(tasks_.size() * config_.kv_heads, [&](size_t i, int thread) {
      const Task& task = tasks_[i / config_.kv_heads];
      auto kv_head = static_cast<uint32_t>(i % config_.kv_heads);
      float* scores = scores_.data() + static_cast<size_t>(thread) * kAttentionChunk;
      run_task(task, kv_head, rows, queries, scores);
    });
    for_rows(pool_, end - begin, [&](uint32_t i) {
      uint32_t row = begin + i;
      join_chunks(row, out + uint64_t{row} * config_.attention_columns());
    });
    begin = end;
  }
}

}  // namespace potluck
