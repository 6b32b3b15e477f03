// Checking a worker's reply against what it was asked: whether it is an answer to that at all,
// whether it can be true, and if not, why. Pure functions; any thread.
#pragma once

#include "coordinator/dispatch/debt_ledger.h"
#include "engine/base/result.h"
#include "engine/experts/expert_shape.h"
#include "protocol/message.h"

namespace potluck {

// Whether this worker was asked exactly this work.
bool is_owed(const Debt& debt, const PeerKey& from, const WorkId& work);

// Whether the worker says that it lost a unit that it was asked for: then it is not to blame.
bool reports_missing_unit(const Debt& debt, const Partial& partial);

// Everything but the values: status, rows and checksum. Why it is refused, if it is.
Status check_reply(const Debt& debt, const Partial& partial, ByteSpan tensor);

// No sum of honest addends to these calls is larger in magnitude. `plan` is of their layer.
int64_t largest_honest_sum(std::span<const RowCall> calls, const ChunkPlan& plan, uint32_t slices);

}  // namespace potluck
