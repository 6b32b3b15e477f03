// /v1/messages and /v1/messages/count_tokens: requests of Anthropic's API as CompletionRequests.
// Pure.
#pragma once

#include <variant>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"

namespace potluck {

struct AnthropicRequest {
  CompletionRequest request;
  bool stream = false;
  bool one_call = false;  // at most
};

using AnthropicParsed = std::variant<AnthropicRequest, ApiError>;

AnthropicParsed parse_anthropic_request(const JsonValue& body, const RequestSetting& setting);

}  // namespace potluck
