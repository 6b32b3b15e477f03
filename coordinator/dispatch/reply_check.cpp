#include "coordinator/dispatch/reply_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kTextBytes = 256;  // of a worker's explanation, in a notice

// The chunks of one slice of an expert: so many addends it puts into each sum.
uint32_t slice_chunks(const ChunkPlan& plan, uint32_t slice, uint32_t slices) {
  GrainRange grains = slice_grains(plan.grains, slice, slices);
  uint32_t first = grains.first * plan.chunks_per_grain;
  uint32_t end = (grains.first + grains.count) * plan.chunks_per_grain;
  return std::min(end, plan.chunks) - std::min(first, plan.chunks);
}

bool asks_for(const Debt& debt, UnitId unit) {
  return unit.layer == debt.work.layer &&
         std::any_of(debt.calls.begin(), debt.calls.end(), [&](const RowCall& call) {
           return call.expert == unit.expert && call.slice == unit.slice;
         });
}

}  // namespace

bool is_owed(const Debt& debt, const PeerKey& from, const WorkId& work) {
  return debt.worker == from && debt.work == work;
}

// It has to name a unit that was asked for. Otherwise "missing" would be a way to refuse all work
// without ever resting for it.
bool reports_missing_unit(const Debt& debt, const Partial& partial) {
  return partial.status == PartialStatus::kMissing &&
         std::any_of(partial.lost.begin(), partial.lost.end(),
                     [&](UnitId unit) { return asks_for(debt, unit); });
}

// The shape of a reply follows from what was asked, never from the reply.
Status check_reply(const Debt& debt, const Partial& partial, ByteSpan tensor) {
  if (partial.status != PartialStatus::kOk) {
    return Error{ErrorCode::kRefused, fmt::format("status {}: {}", static_cast<int>(partial.status),
                                                  clean_text(partial.text, kTextBytes))};
  }
  if (partial.row_flags.size() != debt.rows) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("expected {} rows, found {}", debt.rows, partial.row_flags.size())};
  }
  if (checksum_of(partial.work, partial.row_flags, tensor) != partial.checksum) {
    return Error{ErrorCode::kCorrupt, "the checksum does not match"};
  }
  return {};
}

// Lies below this bound pass; what the bound keeps out is sums so large that adding them up would
// wrap.
int64_t largest_honest_sum(std::span<const RowCall> calls, const ChunkPlan& plan, uint32_t slices) {
  int64_t most = 0;
  int64_t chunks = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (i > 0 && calls[i].row != calls[i - 1].row) chunks = 0;
    chunks += slice_chunks(plan, calls[i].slice, slices);
    most = std::max(most, chunks);
  }
  constexpr int64_t kCeiling = (int64_t{1} << 62) - 1;
  return most > kCeiling / kAddendLimit ? kCeiling : most * kAddendLimit;
}

}  // namespace potluck
