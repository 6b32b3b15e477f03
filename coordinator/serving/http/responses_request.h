// /v1/responses: requests of OpenAI's Responses API as CompletionRequests. Pure.
#pragma once

#include <functional>
#include <memory>
#include <variant>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"
#include "coordinator/serving/http/response_store.h"

namespace potluck {

struct ResponsesRequest {
  CompletionRequest request;
  bool stream = false;
  bool store = true;
  bool one_call = false;              // at most
  JsonValue::Object echo;             // members of the request that stand in its answer
  std::vector<ChatMessage> messages;  // the conversation without instructions
};

using ResponsesParsed = std::variant<ResponsesRequest, ApiError>;
// The response with that id, or null.
using ResponseFinder = std::function<std::shared_ptr<const StoredResponse>(const std::string& id)>;

ResponsesParsed parse_responses_request(const JsonValue& body, const RequestSetting& setting,
                                        const ResponseFinder& find);

}  // namespace potluck
