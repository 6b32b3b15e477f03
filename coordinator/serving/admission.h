// Admission: what a request takes before anything of it is computed, in bytes, and the words for
// one that is refused. Pure functions; any thread.
#pragma once

#include <string>

#include "coordinator/serving/completion.h"
#include "engine/model/kv_price.h"

namespace potluck {

// What a request holds while it waits, beside its prompt: stop strings, biases, its grammar.
uint64_t settings_bytes(const CompletionRequest& request);
// The same with the prompt as it was given, a conversation as the values it consists of.
uint64_t waiting_bytes(const CompletionRequest& request);

// Why a prompt can never be computed here. `budget`: bytes for keys and values.
CompletionFailed too_long_for(size_t prompt_tokens, uint32_t context, const KvPrice& price,
                              uint64_t budget);

// What the queue has and may have.
struct QueueFill {
  size_t requests = 0;
  uint64_t bytes = 0;
  uint64_t most_bytes = 0;
};
// The queue is full: by number, or because so many bytes more do not fit.
CompletionFailed too_many_wait(const QueueFill& queue, uint32_t retry_after_seconds);
CompletionFailed too_much_waits(const QueueFill& queue, uint64_t bytes,
                                uint32_t retry_after_seconds);

}  // namespace potluck
