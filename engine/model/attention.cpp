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

uint32_t chunks_of(const AttentionRow& row) {
  return row.position / kAttentionChunk + 1;
}

}  // namespace

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      kernels_(kernels),
      pool_(pool),
      scores_(static_cast<size_t>(pool.threads()) * kAttentionChunk) {}

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
    row_offsets_.push_back(row_offsets_.back() + chunks_of(rows[end]));
    ++end;
  } while (end < rows.size() &&
           (row_offsets_.back() + chunks_of(rows[end])) * chunk_bytes <= kBlockBytes);
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
    uint32_t chunks = 0;
    for (uint32_t row = first; row < last; ++row) chunks = std::max(chunks, chunks_of(rows[row]));
    for (uint32_t chunk = 0; chunk < chunks; ++chunk)
      tasks_.push_back({first, last - first, chunk});
    first = last;
  }
}

void Attention::run_task(const Task& task, uint32_t layer, uint32_t kv_head,
                         std::span<const AttentionRow> rows, const float* queries, float* scores) {
  AttentionChunk chunk = rows[task.first_row].cache->chunk(layer, kv_head, task.chunk);
  chunk.scale = config_.attention_scale;
  for (uint32_t row = task.first_row; row < task.first_row + task.rows; ++row) {
    if (task.chunk >= chunks_of(rows[row])) continue;
    chunk.end = std::min(rows[row].position + 1 - task.chunk * kAttentionChunk, kAttentionChunk);
    for (uint32_t i = 0; i < config_.group_size(); ++i) {
      uint32_t head = kv_head * config_.group_size() + i;
      const float* query =
          queries + uint64_t{row} * config_.query_columns() + uint64_t{head} * config_.head_dim;
      uint64_t index = partial_index(row, head, task.chunk);
      partials_[index] = kernels_.attention_chunk(chunk, query, scores,
                                                  outputs_.data() + index * config_.value_dim);
    }
  }
}

void Attention::join_chunks(uint32_t row, uint32_t chunks, float* out) const {
  uint32_t dimensions = config_.value_dim;
  for (uint32_t head = 0; head < config_.heads; ++head) {
    uint64_t first = partial_index(row, head, 0);
    const AttentionPartial* partials = partials_.data() + first;
    float* o = out + uint64_t{head} * dimensions;
    float largest = partials[0].max_score;
    for (uint32_t c = 1; c < chunks; ++c) largest = std::max(largest, partials[c].max_score);
    float sum = 0;
    std::fill(o, o + dimensions, 0.0F);
    for (uint32_t c = 0; c < chunks; ++c) {
      float factor = exact_exp(partials[c].max_score - largest);
      const float* part = outputs_.data() + (first + c) * dimensions;
      sum += factor * partials[c].sum;
      for (uint32_t d = 0; d < dimensions; ++d) o[d] += factor * part[d];
    }
    for (uint32_t d = 0; d < dimensions; ++d) o[d] /= sum;
  }
}

void Attention::run(uint32_t layer, std::span<const AttentionRow> rows, const float* queries,
                    float* out) {
  for (uint32_t begin = 0; begin < rows.size();) {
    uint32_t end = plan_block(rows, begin);
    plan_tasks(rows, begin, end);
    pool_.run(tasks_.size() * config_.kv_heads, [&](size_t i, int thread) {
      const Task& task = tasks_[i / config_.kv_heads];
      auto kv_head = static_cast<uint32_t>(i % config_.kv_heads);
      float* scores = scores_.data() + static_cast<size_t>(thread) * kAttentionChunk;
      run_task(task, layer, kv_head, rows, queries, scores);
    });
    for_rows(pool_, end - begin, [&](uint32_t i) {
      uint32_t row = begin + i;
      join_chunks(row, chunks_of(rows[row]), out + uint64_t{row} * config_.attention_columns());
    });
    begin = end;
  }
}

}  // namespace potluck
