// Attention over a window of raw positions and over entries, where keys are values and one KV head
// serves all heads (compressed_attention.cpp). What a row sees is copied side by side into pieces,
// in float32, and the heads meet a piece together; rows that see the same share a copy:
//
//   window    the positions from position + 1 - window up to its own, in pieces that begin at
//             multiples of kAttentionChunk
//   entries   those that are complete, w < (position + 1) / ratio, or the chosen ones of them, in
//             order, kAttentionChunk to a piece
//
// Pieces are joined in this order, with a sink per head, as chunks are in attention.h. So nothing
// depends on threads or on how a prompt was cut into steps, and what is not seen costs nothing.
// Owns scratch memory; one thread (and its pool).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels/state_kernels.h"
#include "engine/model/position_selection.h"
#include "engine/model/recurrent_rows.h"

namespace potluck {

class EntryAttention {
 public:
  struct Layer {
    uint32_t layer = 0;
    uint32_t ratio = 0;                            // positions of an entry; 0: there are no entries
    std::span<const float> sinks;                  // [heads]
    const PositionSelection* selection = nullptr;  // of entries; null: all of them
  };

  // All must outlive the object.
  EntryAttention(const ModelConfig& config, const ComputeContext& compute);

  // queries [rows, heads * head_dim] -> out [rows, heads * head_dim].
  // Row i's raw keys are the inputs of row raw_rows[i] of `raw` and of the tokens before it.
  void run(const Layer& layer, std::span<const AttentionRow> rows, const RecurrentRows& raw,
           std::span<const uint32_t> raw_rows, const float* queries, float* out);

 private:
  // Rows of one cache, and heads.
  struct Task {
    uint32_t first_row = 0;
    uint32_t rows = 0;
    uint32_t first_head = 0;
    uint32_t heads = 0;
  };

  // What a row sees.
  struct View {
    uint32_t first_position = 0;
    uint32_t entries = 0;          // how many it sees
    std::vector<uint32_t> chosen;  // which; empty: the first ones
    uint32_t window_pieces = 0;
    uint32_t pieces = 0;  // with those of the entries
    uint64_t offset = 0;  // of its first partial, in the task
  };

  // What a thread works with.
  struct Scratch {
    std::vector<View> views;        // [rows of the task]
    std::vector<std::byte> keys;    // of a piece
    std::vector<std::byte> values;  // likewise
    std::vector<float> entry;       // [head_dim]
    std::vector<float> scores;
    std::vector<AttentionQuery> queries;
    std::vector<AttentionPartial> partials;  // [row][head][piece of the row]
    std::vector<float> outputs;              // [row][head][piece of the row][head_dim]
  };

  void plan_tasks(std::span<const AttentionRow> rows);
  void divide_heads();
  uint32_t most_pieces(const AttentionRow& row) const;
  View view_of(const AttentionRow& row, uint32_t index) const;
  void run_task(const Task& task, Scratch& scratch);
  void see_window(const Task& task, Scratch& scratch);
  void see_entries(const Task& task, Scratch& scratch);
  void see_chosen(const Task& task, uint32_t row, Scratch& scratch);
  void put(uint32_t place, const float* value, Scratch& scratch) const;
  void put_entry(const Task& task, uint32_t place, uint32_t entry, Scratch& scratch) const;
  void add_queries(const Task& task, uint32_t row, uint32_t piece, uint32_t begin, uint32_t end,
                   Scratch& scratch) const;
  void run_piece(Scratch& scratch) const;
  void join(const Task& task, Scratch& scratch) const;

  const ModelConfig& config_;
  ComputeContext compute_;
  const StateKernels& states_;
  std::vector<Scratch> scratch_;  // [threads]
  // Of the call at hand.
  Layer layer_;
  std::span<const AttentionRow> rows_;
  const RecurrentRows* raw_ = nullptr;
  std::span<const uint32_t> raw_rows_;
  const float* queries_ = nullptr;
  float* out_ = nullptr;
  std::vector<Task> tasks_;
};

}  // namespace potluck
