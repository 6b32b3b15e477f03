// Generation: from prompt tokens to new tokens, one conversation at a time. The same code runs solo
// and with a pool: only the executor differs. Plain functions; called by the thread that owns the
// forward step and the executor.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/runtime/generation_context.h"
#include "engine/model/sampler.h"

namespace potluck {

struct GenerationRequest {
  std::vector<TokenId> prompt;  // at least one token
  // So many tokens of the prompt, not all, are in the cache already, which then holds nothing else.
  uint32_t cached_tokens = 0;
  uint32_t max_tokens = 256;
  SamplingSettings sampling;
  bool ignore_end = false;  // go on after an end-of-text token
  uint32_t prefill_chunk = 512;
  // Ends the generation between two steps once it is true ("interrupted"), in the prefill as well.
  const std::atomic<bool>* cancel = nullptr;
};

struct GenerationResult {
  std::vector<TokenId> tokens;  // an end-of-text token that stopped it is not among them
  // "stop" or "length", as OpenAI's API says it; "interrupted" when it was cancelled.
  std::string finish_reason;
  Duration prefill_time{0};
  Duration decode_time{0};  // of all steps after the prefill
  uint32_t decode_steps = 0;
};

// Told every token as it is chosen; false ends the generation ("stop").
using TokenSink = std::function<bool(TokenId token)>;

// Runs tokens through the model in steps of at most `chunk` rows, starting at the cache's length;
// afterwards forward.logits(0) are those that follow the last token. Stops between two steps once
// `cancel` is true (ErrorCode::kCancelled); null: never.
Status prefill(const GenerationContext& context, std::span<const TokenId> tokens, uint32_t chunk,
               KvCache* cache, const std::atomic<bool>* cancel = nullptr);

// Continues `cache` (usually empty) with the prompt and what is generated. Ends with "length" at
// max_tokens or when the cache is full.
Result<GenerationResult> generate(const GenerationContext& context,
                                  const GenerationRequest& request, KvCache* cache,
                                  const TokenSink& sink);

}  // namespace potluck
