// /api/chat and /api/generate: requests of Ollama's API as CompletionRequests. Pure.
#pragma once

#include <variant>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"

namespace potluck {

struct OllamaRequest {
  CompletionRequest request;
  bool stream = true;
  // Nothing is to be said: the model is to be loaded, or to be let go. It is always there.
  bool only_load = false;
};

using OllamaParsed = std::variant<OllamaRequest, ApiError>;

OllamaParsed parse_ollama_chat(const JsonValue& body, const RequestSetting& setting);
OllamaParsed parse_ollama_generate(const JsonValue& body, const RequestSetting& setting);

}  // namespace potluck
