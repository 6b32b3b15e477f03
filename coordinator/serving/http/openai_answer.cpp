#include "coordinator/serving/http/openai_answer.h"

namespace potluck {
namespace {

double per_second(uint32_t count, double seconds) {
  return seconds > 0 ? count / seconds : 0;
}

}  // namespace

JsonObject begin_answer(const AnswerIdentity& identity, std::string_view object) {
  JsonObject answer;
  answer.add("id", identity.id)
      .add("object", object)
      .add("created", identity.created)
      .add("model", identity.model)
      .add("system_fingerprint", identity.fingerprint);
  return answer;
}

void FinishedChoices::add(size_t choice, const CompletionFinished& finished) {
  finished_[choice] = finished;
  --left_;
}

JsonValue FinishedChoices::usage(size_t choices_per_prompt) const {
  uint64_t prompt = 0;
  uint64_t cached = 0;
  uint64_t completion = 0;
  for (size_t i = 0; i < finished_.size(); ++i) {
    const CompletionUsage& usage = finished_[i].usage;
    completion += usage.completion_tokens;
    if (i % choices_per_prompt != 0) continue;
    prompt += usage.prompt_tokens;
    cached += usage.cached_tokens;
  }
  return JsonObject()
      .add("prompt_tokens", prompt)
      .add("completion_tokens", completion)
      .add("total_tokens", prompt + completion)
      .add("prompt_tokens_details", JsonObject().add("cached_tokens", cached).take())
      .take();
}

JsonValue FinishedChoices::timings() const {
  const CompletionFinished& first = finished_.front();
  const uint32_t computed = first.usage.prompt_tokens - first.usage.cached_tokens;
  return JsonObject()
      .add("cache_n", first.usage.cached_tokens)
      .add("prompt_n", computed)
      .add("prompt_ms", first.prefill_seconds * 1e3)
      .add("prompt_per_second", per_second(computed, first.prefill_seconds))
      .add("predicted_n", first.usage.completion_tokens)
      .add("predicted_ms", first.decode_seconds * 1e3)
      .add("predicted_per_second", per_second(first.usage.completion_tokens, first.decode_seconds))
      .take();
}

std::string_view finish_reason_name(FinishReason reason, bool called) {
  if (reason == FinishReason::kLength) return "length";
  return called ? "tool_calls" : "stop";
}

}  // namespace potluck
