// Attention of the rows of a step over their KV caches. A row sees the positions up to its own:
// all, the last so many, or those since the last multiple of so many (chunked windows, as in Llama
// 4). Positions come in chunks of their own, at absolute multiples. Threads take (rows, KV head,
// chunk), or parts of that; the query heads of a KV head and the rows meet its keys and values
// together. The chunks c of one head are joined in order:
//
//   M = max of max_c and the sink              (max_c, sum_c, out_c: see attention_chunk)
//   l = sum over c of e_c * sum_c              e_c = exact_exp(max_c - M)
//   o = sum over c of e_c * out_c              both sums in sequence, starting at +0
//   l = l + exact_exp(sink - M)                where the layer has sinks
//   out = o / l
//
// Where positions are left out of a chunk (indexer.h), the runs of the others are joined like
// chunks first (selected_chunk.h); a chunk of which nothing is seen is left out.
//
// So the result depends neither on threads nor on how a prompt was cut into steps. Owns scratch
// memory; one thread (and its pool).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/model/chunk_values.h"
#include "engine/model/kv_cache.h"
#include "engine/model/position_selection.h"
#include "engine/model/selected_chunk.h"

namespace potluck {

struct AttentionRow {
  const KvCache* cache = nullptr;
  uint32_t position = 0;  // filled in the cache, as are all before it
};

// What differs from layer to layer.
struct AttentionLayer {
  uint32_t layer = 0;
  uint32_t window = 0;           // positions a row sees, its own included (at most, if windows
                                 // are chunked); 0: all
  std::span<const float> sinks;  // [heads]: scores that no value belongs to; or empty
  const PositionSelection* selection = nullptr;  // of the visible positions; null: all of them
};

class Attention {
 public:
  // All must outlive the object.
  Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool);

  // queries [rows, heads * head_dim] -> out [rows, heads * value_dim], with the layer's heads.
  // Fastest when rows of the same cache stand together.
  void run(const AttentionLayer& layer, std::span<const AttentionRow> rows, const float* queries,
           float* out);

 private:
  // Some rows of one cache and one chunk of its positions.
  struct Task {
    uint32_t first_row = 0;
    uint32_t rows = 0;
    uint32_t chunk = 0;
  };

  // What a thread works with.
  struct Scratch {
    std::vector<AttentionQuery> queries;
    std::vector<float> scores;
    ChunkValues values;
    SelectedChunk selected;
  };

  uint32_t first_visible(const AttentionRow& row) const;
  void list_chunks(const AttentionRow& row, uint32_t index, std::vector<uint32_t>* chunks) const;
  std::span<const uint32_t> chunks_of(uint32_t row) const;
  uint32_t heads() const { return config_.heads_of(layer_.layer); }
  uint32_t head_dim() const { return config_.head_dim_of(layer_.layer); }
  uint32_t value_dim() const { return config_.value_dim_of(layer_.layer); }
  uint32_t kv_heads() const { return config_.kv_heads_of(layer_.layer); }
  uint32_t plan_block(std::span<const AttentionRow> rows, uint32_t first);
  void plan_tasks(std::span<const AttentionRow> rows, uint32_t first, uint32_t end);
  uint32_t choose_parts() const;
  void run_task(const Task& task, uint32_t kv_head, uint32_t part,
                std::span<const AttentionRow> rows, const float* queries, int thread);
  void join_chunks(uint32_t row, uint32_t head, float* out) const;
  // `chunk` counts those that the row sees.
  uint64_t partial_index(uint32_t row, uint32_t head, uint32_t chunk) const;

  const ModelConfig& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  // Rows are worked on in blocks, so that what the chunks contribute stays small.
  AttentionLayer layer_;
  uint32_t block_begin_ = 0;
  std::vector<uint64_t> row_offsets_;  // [rows of the block]: chunks of all rows before
  std::vector<uint32_t> chunks_;       // of all rows of the block, those that each sees
  std::vector<uint32_t> task_chunks_;  // of rows that share tasks
  std::vector<Task> tasks_;
  std::vector<AttentionPartial> partials_;  // [row][head][chunk of the row]
  std::vector<float> outputs_;              // [row][head][chunk of the row][value_dim]
  uint32_t parts_ = 1;                      // of a task, by query heads
  std::vector<Scratch> scratch_;            // [threads]
};

}  // namespace potluck
