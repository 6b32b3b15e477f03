// What the requests of /v1/chat/completions and /v1/completions have in common. Pure.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"

namespace potluck {

struct OpenAiRequest {
  std::vector<CompletionRequest> choices;  // in the order of their index
  size_t choices_per_prompt = 1;
  bool stream = false;
  bool return_progress = false;  // a stream tells how much of the prompt is computed
  bool include_usage = false;
  bool logprobs = false;
  bool one_call = false;  // at most
};

using OpenAiParsed = std::variant<OpenAiRequest, ApiError>;

// A request that has everything but its prompt, and how it is to be answered.
struct OpenAiCommon {
  CompletionRequest request;
  uint32_t choices = 1;
  bool stream = false;
  bool include_usage = false;
};
OpenAiCommon read_common(JsonFields& fields, const RequestSetting& setting);

// `count` times the same, each with a seed of its own; the first with that of `request`.
std::vector<CompletionRequest> repeat_with_seeds(const CompletionRequest& request, uint32_t count);

}  // namespace potluck
