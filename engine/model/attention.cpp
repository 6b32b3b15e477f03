#include "engine/model/attention.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "engine/kernels/exact_math.h"
#include "engine/model/attention_join.h"
#include "engine/model/rows.h"

namespace potluck {
namespace {

// Rows of a task read the same keys and values, which then stay in a core's cache.
constexpr uint32_t kRowsPerTask = 16;
// Query heads of a row that share a load of keys and values; fewer are not worth a task.
constexpr uint32_t kHeadsPerPart = 8;
// Bound on outputs_ (a single row may exceed it).
constexpr uint64_t kBlockBytes = 8 * kMiB;

// Neighbors in [begin, end) that are set, relative to `origin`.
std::vector<SelectedChunk::Run> runs_of(std::span<const uint64_t> bits, uint32_t begin,
                                        uint32_t end, uint32_t origin) {
  std::vector<SelectedChunk::Run> runs;
  for (uint32_t p = begin; p < end;) {
    const uint64_t rest = bits[p / 64] >> (p % 64);
    if (rest == 0) {
      p += 64 - p % 64;
      continue;
    }
    p += static_cast<uint32_t>(std::countr_zero(rest));
    if (p >= end) break;
    if (runs.empty() || runs.back().end != p - origin) runs.push_back({p - origin, p - origin});
    ++runs.back().end;
    ++p;
  }
  return runs;
}

// Whether any position of the chunk is set.
bool is_seen(std::span<const uint64_t> bits, uint32_t chunk) {
  constexpr uint32_t kWords = kAttentionChunk / 64;
  const size_t end = std::min<size_t>(bits.size(), uint64_t{chunk + 1} * kWords);
  for (size_t word = uint64_t{chunk} * kWords; word < end; ++word) {
    if (bits[word] != 0) return true;
  }
  return false;
}

}  // namespace

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      kernels_(kernels),
      pool_(pool),
      scratch_(static_cast<size_t>(pool.threads())) {
  for (Scratch& scratch : scratch_) {
    scratch.queries.reserve(size_t{kRowsPerTask} * config.heads / config.kv_heads);
    scratch.scores.resize(kAttentionScratch);
  }
}

uint32_t Attention::first_visible(const AttentionRow& row) const {
  if (layer_.window == 0 || row.position < layer_.window) return 0;
  if (config_.chunked_windows) return row.position - row.position % layer_.window;
  return row.position + 1 - layer_.window;
}

// Appends the chunks that hold what a row sees, in order.
void Attention::list_chunks(const AttentionRow& row, uint32_t index,
                            std::vector<uint32_t>* chunks) const {
  const uint32_t first = first_visible(row) / kAttentionChunk;
  const uint32_t last = row.position / kAttentionChunk;
  for (uint32_t chunk = first; chunk <= last; ++chunk) {
    bool seen = layer_.selection == nullptr;
    for (uint32_t head = 0; head < kv_heads() && !seen; ++head) {
      const std::span<const uint64_t> bits = layer_.selection->bits(index, head);
      seen = bits.empty() || is_seen(bits, chunk);
    }
    if (seen) chunks->push_back(chunk);
  }
}

std::span<const uint32_t> Attention::chunks_of(uint32_t row) const {
  const uint64_t first = row_offsets_[row - block_begin_];
  return std::span(chunks_).subspan(first, row_offsets_[row - block_begin_ + 1] - first);
}

uint64_t Attention::partial_index(uint32_t row, uint32_t head, uint32_t chunk) const {
  uint64_t first = row_offsets_[row - block_begin_];
  uint64_t chunks = row_offsets_[row - block_begin_ + 1] - first;
  return first * heads() + head * chunks + chunk;
}

// Takes rows from `first` on until the block is full; returns the end. Sizes the scratch memory.
uint32_t Attention::plan_block(std::span<const AttentionRow> rows, uint32_t first) {
  block_begin_ = first;
  row_offsets_.assign(1, 0);
  chunks_.clear();
  uint64_t chunk_bytes = uint64_t{heads()} * value_dim() * sizeof(float);
  uint32_t end = first;
  do {
    list_chunks(rows[end], end, &chunks_);
    // A single row may exceed the bound.
    if (end > first && chunks_.size() * chunk_bytes > kBlockBytes) break;
    row_offsets_.push_back(chunks_.size());
    ++end;
  } while (end < rows.size());
  uint64_t partials = row_offsets_.back() * heads();
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
    task_chunks_.clear();
    for (uint32_t row = first; row < last; ++row) {
      const std::span<const uint32_t> chunks = chunks_of(row);
      task_chunks_.insert(task_chunks_.end(), chunks.begin(), chunks.end());
    }
    std::ranges::sort(task_chunks_);
    task_chunks_.erase(std::unique(task_chunks_.begin(), task_chunks_.end()), task_chunks_.end());
    for (uint32_t chunk : task_chunks_) tasks_.push_back({first, last - first, chunk});
    first = last;
  }
}

// One KV head of many query heads (latent attention) is cut into parts if there would be too little
// to do for the threads otherwise.
uint32_t Attention::choose_parts() const {
  auto threads = static_cast<uint32_t>(pool_.threads());
  if (threads == 1) return 1;
  auto tasks = std::max<uint64_t>(1, tasks_.size() * kv_heads());
  auto wanted = static_cast<uint32_t>(threads * kTasksPerThread / tasks);
  return std::clamp(wanted, 1U, std::max(1U, heads() / kv_heads() / kHeadsPerPart));
}

void Attention::run_task(const Task& task, uint32_t kv_head, uint32_t part,
                         std::span<const AttentionRow> rows, const float* queries, int thread) {
  const uint32_t kv_layer = config_.kv_layer_of(layer_.layer);
  AttentionChunk chunk = rows[task.first_row].cache->chunk(kv_layer, kv_head, task.chunk);
  chunk.scale = config_.attention_scale;
  uint32_t chunk_begin = task.chunk * kAttentionChunk;
  uint32_t group = heads() / kv_heads();
  uint32_t first_head = kv_head * group + group * part / parts_;
  uint32_t end_head = kv_head * group + group * (part + 1) / parts_;
  Scratch& scratch = scratch_[static_cast<size_t>(thread)];
  scratch.queries.clear();
  for (uint32_t row = task.first_row; row < task.first_row + task.rows; ++row) {
    const std::span<const uint32_t> chunks = chunks_of(row);
    const auto found = std::ranges::lower_bound(chunks, task.chunk);
    if (found == chunks.end() || *found != task.chunk) continue;
    const auto place = static_cast<uint32_t>(found - chunks.begin());
    uint32_t begin = std::max(first_visible(rows[row]), chunk_begin) - chunk_begin;
    uint32_t end = std::min(rows[row].position + 1 - chunk_begin, kAttentionChunk);
    const float* of_row = queries + uint64_t{row} * heads() * head_dim();
    std::span<const uint64_t> bits;
    if (layer_.selection != nullptr) bits = layer_.selection->bits(row, kv_head);
    if (!bits.empty()) {
      const auto runs = runs_of(bits, chunk_begin + begin, chunk_begin + end, chunk_begin);
      const uint64_t index = partial_index(row, first_head, place);
      scratch.selected.run(
          kernels_, chunk, runs,
          {of_row + uint64_t{first_head} * head_dim(), end_head - first_head,
           partials_.data() + index, outputs_.data() + index * value_dim(), chunks.size()});
      continue;
    }
    for (uint32_t head = first_head; head < end_head; ++head) {
      uint64_t index = partial_index(row, head, place);
      scratch.queries.push_back({of_row + uint64_t{head} * head_dim(), begin, end,
                                 outputs_.data() + index * value_dim(), partials_.data() + index});
    }
  }
  if (scratch.queries.empty()) return;
  scratch.values.complete(&chunk, scratch.queries);
  kernels_.attention_chunk(chunk, scratch.queries, scratch.scores.data());
}

void Attention::join_chunks(uint32_t row, uint32_t head, float* out) const {
  uint32_t dimensions = value_dim();
  uint64_t chunks = row_offsets_[row - block_begin_ + 1] - row_offsets_[row - block_begin_];
  uint64_t first = partial_index(row, head, 0);
  const AttentionPartial* partials = partials_.data() + first;
  const float* sink = layer_.sinks.empty() ? nullptr : &layer_.sinks[head];
  const float largest = largest_score({partials, chunks}, sink);
  float sum = join_parts(state_kernels(kernels_), {partials, chunks},
                         outputs_.data() + first * dimensions, largest, dimensions, out);
  if (sink != nullptr) sum += exact_exp(*sink - largest);
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
    uint64_t per_task = uint64_t{kv_heads()} * parts_;
    pool_.run(tasks_.size() * per_task, [&](size_t i, int thread) {
      auto kv_head = static_cast<uint32_t>(i % per_task / parts_);
      auto part = static_cast<uint32_t>(i % parts_);
      run_task(tasks_[i / per_task], kv_head, part, rows, queries, thread);
    });
    for_rows(pool_, (end - begin) * heads(), [&](uint32_t i) {
      uint32_t row = begin + i / heads();
      uint32_t head = i % heads();
      uint64_t at = uint64_t{row} * heads() + head;
      join_chunks(row, head, out + at * value_dim());
    });
    begin = end;
  }
}

}  // namespace potluck
