// Building the message that asks one worker for its calls of a batch. A pure function; any thread.
#pragma once

#include <span>
#include <vector>

#include "coordinator/cluster/control_outbox.h"
#include "coordinator/dispatch/row_calls.h"

namespace potluck {

// A unit that the next layer is likely to need, and the worker that would be asked for it now.
struct PrefetchUnit {
  PeerKey worker;
  UnitId unit;
};

// What stands in a message besides the rows.
struct CallTerms {
  WorkId work;
  PeerKey worker;
  uint32_t slices = 1;
};

// `calls` are calls of the batch, grouped by `rows` rows. Of the prefetch, the message carries what
// is this worker's.
OutgoingMessage build_call(const CallTerms& terms, const ExpertBatch& batch,
                           std::span<const RowCall> calls, uint32_t rows,
                           std::span<const PrefetchUnit> prefetch);

}  // namespace potluck
