#include "coordinator/dispatch/row_calls.h"

#include "engine/base/check.h"

namespace potluck {
namespace {

// With more slices than grains, some are empty.
void add_slices(const ManifestLayer& layer, uint32_t slices, uint32_t row, uint32_t expert,
                float weight, RowCalls* calls) {
  CHECK(expert < layer.experts);
  for (uint32_t slice = 0; slice < slices; ++slice) {
    if (slice_grains(layer.plan.grains, slice, slices).count == 0) continue;
    calls->push_back({row, static_cast<uint16_t>(expert), static_cast<uint16_t>(slice), weight});
  }
}

}  // namespace

size_t end_of_row(std::span<const RowCall> calls, size_t begin) {
  size_t end = begin;
  while (end < calls.size() && calls[end].row == calls[begin].row) ++end;
  return end;
}

uint32_t count_rows(std::span<const RowCall> calls) {
  uint32_t rows = 0;
  for (size_t i = 0; i < calls.size(); i = end_of_row(calls, i)) ++rows;
  return rows;
}

void list_calls(const ExpertBatch& batch, const ManifestLayer& layer, uint32_t slices,
                RowCalls* calls) {
  calls->clear();
  for (uint32_t row = 0; row < batch.tokens(); ++row) {
    for (uint32_t k = 0; k < batch.top_k; ++k) {
      size_t i = size_t{row} * batch.top_k + k;
      add_slices(layer, slices, row, batch.experts[i], batch.weights[i], calls);
    }
  }
}

void list_prefetch(const ExpertBatch& batch, const ManifestLayer& next, uint32_t slices,
                   RowCalls* calls) {
  calls->clear();
  // As calls of one row without a weight: choose_holders() then spreads them as it will the real
  // ones.
  for (uint32_t expert : batch.prefetch) add_slices(next, slices, 0, expert, 0, calls);
}

RowCalls CallLists::take() {
  if (lists_.empty()) return {};
  RowCalls calls = std::move(lists_.back());
  lists_.pop_back();
  return calls;
}

void CallLists::give_back(RowCalls calls) {
  calls.clear();
  if (lists_.size() < kKept) lists_.push_back(std::move(calls));
}

}  // namespace potluck
