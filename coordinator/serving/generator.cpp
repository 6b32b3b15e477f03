#include "coordinator/serving/generator.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/model/step_run.h"

namespace potluck {
namespace {

Status check_request(const GenerationContext& context, const GenerationRequest& request,
                     const KvCache& cache) {
  CHECK(request.cached_tokens == 0 ||
        (request.cached_tokens == cache.length() && cache.length() < request.prompt.size()));
  if (request.prompt.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt is empty: at least one token is needed"};
  }
  uint32_t vocabulary = context.model.config().vocabulary;
  for (TokenId token : request.prompt) {
    if (token < 0 || static_cast<uint32_t>(token) >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("token {} is not in the vocabulary of {}", token, vocabulary)};
    }
  }
  uint64_t room = cache.capacity() - cache.length() + request.cached_tokens;
  if (request.prompt.size() > room) {
    return Error{ErrorCode::kLimit, fmt::format("the prompt has {} tokens, the context has room "
                                                "for {}: see --ctx",
                                                request.prompt.size(), room)};
  }
  return check_sampling(request.sampling);
}

bool is_cancelled(const std::atomic<bool>* cancel) {
  return cancel != nullptr && cancel->load(std::memory_order_relaxed);
}

bool is_end(const Model& model, TokenId token) {
  return model.tokenizer() != nullptr && model.tokenizer()->is_end(token);
}

}  // namespace

Status prefill(const GenerationContext& context, std::span<const TokenId> tokens, uint32_t chunk,
               KvCache* cache, const std::atomic<bool>* cancel) {
  std::vector<ForwardRow> rows;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    if (is_cancelled(cancel)) return Error{ErrorCode::kCancelled, "the prefill was cancelled"};
    size_t end = std::min(tokens.size(), begin + chunk);
    rows.clear();
    for (size_t i = begin; i < end; ++i) {
      auto position = cache->length() + static_cast<uint32_t>(i - begin);
      rows.push_back({tokens[i], position, cache, i + 1 == tokens.size()});
    }
    if (Status status = run_step(context.forward, rows, context.executor); !status) return status;
  }
  return {};
}

Result<GenerationResult> generate(const GenerationContext& context,
                                  const GenerationRequest& request, KvCache* cache,
                                  const TokenSink& sink) {
  if (Status status = check_request(context, request, *cache); !status) return status.error();
  GenerationResult result;
  result.finish_reason = "length";
  TimePoint start = context.clock.now();
  const auto fresh = std::span(request.prompt).subspan(request.cached_tokens);
  Status prefilled_prompt = prefill(context, fresh, request.prefill_chunk, cache, request.cancel);
  if (!prefilled_prompt && prefilled_prompt.error().code == ErrorCode::kCancelled) {
    result.finish_reason = "interrupted";
    return result;
  }
  if (!prefilled_prompt) return prefilled_prompt.error();
  cache->checkpoint();  // the next turn of a conversation goes on from here
  TimePoint prefilled = context.clock.now();
  result.prefill_time = prefilled - start;

  std::vector<TokenId> history = request.prompt;
  while (result.tokens.size() < request.max_tokens) {
    if (is_cancelled(request.cancel)) {
      result.finish_reason = "interrupted";
      break;
    }
    TokenId token = sample(context.forward.logits(0), history, history.size(), request.sampling);
    if (!request.ignore_end && is_end(context.model, token)) {
      result.finish_reason = "stop";
      break;
    }
    result.tokens.push_back(token);
    history.push_back(token);
    if (!sink(token)) {
      result.finish_reason = "stop";
      break;
    }
    if (result.tokens.size() == request.max_tokens || cache->length() == cache->capacity()) break;
    ForwardRow row{token, cache->length(), cache, true};
    if (Status status = run_step(context.forward, {&row, 1}, context.executor); !status) {
      return status.error();
    }
    ++result.decode_steps;
  }
  result.decode_time = context.clock.now() - prefilled;
  return result;
}

}  // namespace potluck
