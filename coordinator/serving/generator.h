// Generation for those who want one answer and wait for it: the terminal and measurements. Plain
// functions; called by the thread that owns the engine (unless another one runs it), or the forward
// step and the executor.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/runtime/generation_context.h"
#include "coordinator/serving/completion_engine.h"

namespace potluck {

struct GenerationRequest {
  uint32_t max_tokens = 256;  // 0: the prompt is computed, and that is all
  SamplingSettings sampling;
  bool ignore_end = false;  // go on after an end-of-text token
  // Ends the generation within a step once it is true ("interrupted"), in the prefill as well.
  const std::atomic<bool>* cancel = nullptr;
  // Told how much of the prompt is computed, by the thread that waits; may be empty.
  std::function<void(uint32_t done, uint32_t total)> on_prefill = {};
  bool engine_runs = false;  // an EngineThread takes the engine's turns; the caller only waits
};

struct GenerationResult {
  std::vector<TokenId> tokens;  // an end-of-text token that stopped it is not among them
  // "stop", "length" or "tool_calls", as OpenAI's API says it; "interrupted" when it was cancelled.
  std::string finish_reason;
  Duration prefill_time{0};
  Duration decode_time{0};  // of all steps after the prefill
  uint32_t decode_steps = 0;
};

struct GeneratedAnswer {
  GenerationResult result;
  AnswerPiece text;  // all of it; calls have ids
  CompletionUsage usage;
};

// Told every piece as it comes, by the thread that waits; false ends the answer ("stop").
using PieceSink = std::function<bool(const AnswerPiece& piece)>;

// Takes turns of the engine, or waits, until the prompt is answered.
Result<GeneratedAnswer> generate(CompletionEngine& engine, CompletionPrompt prompt,
                                 const GenerationRequest& request, const PieceSink& sink);

// Runs tokens through the model in steps of at most `chunk` rows, starting at the cache's length;
// afterwards forward.logits(0) are those that follow the last token.
Status prefill(const GenerationContext& context, std::span<const TokenId> tokens, uint32_t chunk,
               KvCache* cache);

}  // namespace potluck
