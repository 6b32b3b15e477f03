// RowCalls: which units apply to which rows of a batch. Lists of them are made when a batch comes,
// split among workers, cut into messages and given to others; CallLists keeps their memory for the
// next ones. Plain values and pure functions; a CallLists belongs to one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/executor.h"
#include "engine/experts/manifest.h"

namespace potluck {

// One unit applied to one row of a batch.
struct RowCall {
  uint32_t row = 0;
  uint16_t expert = 0;
  uint16_t slice = 0;
  float weight = 0;

  bool operator==(const RowCall&) const = default;
};
using RowCalls = std::vector<RowCall>;  // grouped by row

// The end of the row that begins at `begin`.
size_t end_of_row(std::span<const RowCall> calls, size_t begin);
uint32_t count_rows(std::span<const RowCall> calls);

// Everything that the batch asks of `layer`; its experts exist (CHECK). Replaces what `calls` held.
void list_calls(const ExpertBatch& batch, const ManifestLayer& layer, uint32_t slices,
                RowCalls* calls);
// The same for what the batch expects of `next`, the layer after its own, as calls of one row.
void list_prefetch(const ExpertBatch& batch, const ManifestLayer& next, uint32_t slices,
                   RowCalls* calls);

// Empty lists that have memory.
class CallLists {
 public:
  RowCalls take();
  void give_back(RowCalls calls);

 private:
  // One per worker and group of sessions in flight.
  static constexpr size_t kKept = 64;

  std::vector<RowCalls> lists_;
};

}  // namespace potluck
