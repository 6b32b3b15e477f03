// Forward: the layer loop as a resumable step. begin() takes token rows of any number of sessions;
// advance() computes until experts are needed or all is done; supply() brings the routed sums.
// Nothing blocks, so two steps can be in flight and a simulator can own the clock; step_run.h
// carries a step over an executor.
//
//   embed -> [ norm, mix tokens (token_mixer.h), residual,
//              norm, router, (experts, elsewhere), shared expert, residual ] x layers
//         -> norm -> output -> logits
//
// Results of a row depend only on its session's earlier tokens, never on the other rows of the step
// or on how a prompt was cut into steps. Owns its scratch memory; one thread (and its pool).
#pragma once

#include <memory>
#include <span>

#include "engine/base/thread_pool.h"
#include "engine/experts/executor.h"
#include "engine/experts/want.h"
#include "engine/model/kv_cache.h"
#include "engine/model/layer_observer.h"
#include "engine/model/model.h"

namespace potluck {

// One token to be computed. Rows of the same session stand together, in order of position, without
// gaps, and start at the cache's length (CHECK).
struct ForwardRow {
  TokenId token = 0;  // below the vocabulary's size (CHECK)
  uint32_t position = 0;
  KvCache* cache = nullptr;
  bool wants_logits = false;
};

enum class ForwardState { kNeedsExperts, kDone };

class Forward {
 public:
  // All must outlive the step object.
  Forward(const Model& model, const KernelTable& kernels, ThreadPool& pool);
  ~Forward();

  // Of which steps batches name the likely experts of the next layer: worth its small price where
  // experts come from disks. Off at first; changes nothing that is computed.
  void set_read_ahead(ReadAhead what);
  // Shows every residual to the observer, which must outlive its use; null, as at first: to none.
  void set_observer(LayerObserver* observer);

  void begin(std::span<const ForwardRow> rows);  // at least one row
  ForwardState advance();

  // Of the layers of the step, those that are done: from 0 to 1.
  double share_done() const;
  // Valid in kNeedsExperts, until supply().
  const ExpertBatch& batch() const;
  // In kNeedsExperts: does what can be done while others compute the experts. Worth calling after
  // the batch was sent; supply() does what is left.
  void meanwhile();
  void supply(const ExpertSums& sums);
  // Room for an executor's answer, kept from step to step; supply() may be given it.
  ExpertSums& sums();

  // Valid in kDone, until begin(): logits [vocabulary] of the i-th row that wanted them.
  std::span<const float> logits(uint32_t i) const { return logits(i, 1); }
  // Of so many of these rows from the i-th on, one behind the other.
  std::span<const float> logits(uint32_t i, uint32_t rows) const;
  // Valid in kDone: an error if a value of that row left its range (docs/ARITHMETIC.md, 9: not
  // finite, or a flagged sum). The row's logits are then meaningless; other rows are not touched.
  Status row_status(uint32_t row) const;

 private:
  struct Step;
  std::unique_ptr<Step> step_;
};
}  // namespace potluck
