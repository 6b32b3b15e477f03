// Sparse attention: before a layer attends, an indexer scores the positions that a row could see,
// with small queries and keys of its own, and attention sees only the best. Index keys are kept in
// the KV cache, in float32. Of a position p and the query's position t, with q, k after norm and
// rope:
//
//   positions (DeepSeek V3.2)   score(p) = sum over heads, in sequence, of w_h * max(q_h . k_p, 0)
//                               w = W x / sqrt(heads * dimensions); the top_k best of p <= t
//   blocks (MiniMax-M3)         score(b) of head h = largest q_h . k_p of the block's p <= t
//                               the last local_blocks and the best others, top_k in all; separately
//                               for each KV head
//   entries (DeepSeek V4)       as of positions, with entries in their place: the top_k best of
//                               those that are complete; their keys come from a compressor
//                               (compressor.h), and rope turns the last values of a query
//
// Sums over dimensions are in sequence; ties go to the earlier position or block. Scores that are
// no numbers are below all others. Owns scratch memory; one thread (and its pool).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/position_selection.h"
#include "engine/model/token_mixer.h"

namespace potluck {

class Indexer {
 public:
  // Both must outlive the object.
  Indexer(const Model& model, const ComputeContext& compute);

  // Forms in which run() reads the hidden state and what its queries are made from.
  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const;
  void query_forms(uint32_t layer, std::vector<ActivationForm>* forms) const;
  // Stores the rows' index keys (those of entries are there already), then chooses for each row.
  // Does nothing for a layer without an indexer. `query_input` is the hidden state, too, or the
  // compressed queries.
  void run(uint32_t layer, const StepRows& rows, const ActivationRows& input,
           const ActivationRows& query_input);
  void move_row(uint32_t from, uint32_t to) { selection_.move_row(from, to); }
  // What the layer's attention sees; null: everything.
  const PositionSelection* selection(uint32_t layer) const;

 private:
  const IndexerWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].indexer;
  }
  void finish_row(uint32_t layer, const StepRows& rows, uint32_t row);
  bool by_block() const { return indexer_.kind == IndexerKind::kBlocks; }
  bool has_keys() const { return indexer_.kind != IndexerKind::kEntries; }
  void store_key(uint32_t layer, const StepRows& rows, uint32_t row);
  // Chunks [first, end) of index keys.
  struct ChunkRange {
    uint32_t first;
    uint32_t end;
  };
  template <class Use>
  void multiply(uint32_t layer, const AttentionRow& row, uint32_t index, ChunkRange range,
                const Use& use) const;
  uint32_t chunks_of(uint32_t layer, const AttentionRow& row) const;
  void choose_rows(uint32_t layer, const StepRows& rows);
  bool begin_row(uint32_t layer, const AttentionRow& row, uint32_t index,
                 std::vector<float>& scores);
  void score(uint32_t layer, const AttentionRow& row, uint32_t index, ChunkRange range,
             std::vector<float>& scores) const;
  void choose_best(uint32_t layer, const AttentionRow& row, uint32_t index,
                   std::vector<float>& scores);
  void choose_blocks(uint32_t layer, const AttentionRow& row, uint32_t index);

  const Model& model_;
  const ModelConfig& config_;
  const IndexerConfig& indexer_;
  ComputeContext compute_;
  std::vector<float> queries_;  // [rows, heads, dimensions]
  std::vector<float> keys_;     // [rows, dimensions]
  std::vector<float> weights_;  // [rows, heads], not of blocks
  PositionSelection selection_;
};

}  // namespace potluck
