// Arbitrary bytes as the body of an API request: an error with a status, or requests whose every
// value is within what a CompletionService may be asked for. The first byte chooses the route.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "coordinator/serving/http/anthropic_request.h"
#include "coordinator/serving/http/ollama_request.h"
#include "coordinator/serving/http/openai_chat.h"
#include "coordinator/serving/http/openai_completions.h"
#include "coordinator/serving/http/responses_request.h"
#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

void check_error(const ApiError& error) {
  CHECK(error.status == 400 && !error.message.empty());
  const HttpResponse response = error_response(error);
  CHECK(parse_json(response.body).ok());
}

void check_sampling_range(const SamplingSettings& sampling) {
  CHECK(sampling.temperature >= 0 && sampling.temperature <= 2);
  CHECK(sampling.top_p >= 0 && sampling.top_p <= 1);
  CHECK(sampling.min_p >= 0 && sampling.min_p <= 1);
  CHECK(sampling.repeat_penalty > 0 && std::isfinite(sampling.repeat_penalty));
  CHECK(sampling.top_k <= limits::kVocabulary);
  CHECK(sampling.repeat_window <= limits::kContext);
}

void check_prompt(const CompletionPrompt& prompt) {
  if (const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) {
    CHECK(!tokens->empty());
    for (const TokenId token : *tokens) {
      CHECK(token >= 0 && static_cast<uint32_t>(token) < limits::kVocabulary);
    }
  } else if (const auto* conversation = std::get_if<Conversation>(&prompt)) {
    CHECK(!conversation->messages.empty());
    for (const ChatMessage& message : conversation->messages) CHECK(!message.role.empty());
  } else {
    CHECK(!find_invalid_utf8(std::get<std::string>(prompt)));
  }
}

void check_completion(const CompletionRequest& request) {
  CHECK(request.max_tokens <= limits::kContext);
  CHECK(request.top_logprobs.value_or(0) <= 20);
  CHECK(request.stop.size() <= 16);
  for (const std::string& stop : request.stop) CHECK(!stop.empty());
  check_sampling_range(request.sampling);
  check_prompt(request.prompt);
}

void check_parsed(const OpenAiRequest& request) {
  CHECK(!request.choices.empty() && request.choices.size() <= 64);
  CHECK(request.choices.size() % request.choices_per_prompt == 0);
  for (const CompletionRequest& choice : request.choices) {
    CHECK(request.logprobs == choice.top_logprobs.has_value());
    check_completion(choice);
  }
}

void check_parsed(const AnthropicRequest& request) {
  check_completion(request.request);
}

void check_parsed(const OllamaRequest& request) {
  if (!request.only_load) check_completion(request.request);
}

void check_parsed(const ResponsesRequest& request) {
  check_completion(request.request);
  CHECK(!request.messages.empty());
  CHECK(parse_json(write_json(JsonValue{request.echo})).ok());
}

template <class Parsed>
void check_either(const Parsed& parsed) {
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    check_error(*error);
  } else {
    check_parsed(std::get<0>(parsed));
  }
}

// One response is there; its conversation is what was asked before.
std::shared_ptr<const StoredResponse> find(const std::string& id) {
  if (id != "resp_1") return nullptr;
  StoredResponse stored;
  stored.messages.emplace_back().role = "user";
  stored.messages.back().content = JsonValue{std::string("hi")};
  return std::make_shared<const StoredResponse>(std::move(stored));
}

void check_route(uint8_t route, const JsonValue& body, const RequestSetting& setting) {
  switch (route) {
    case 0:
      return check_either(parse_completions_request(body, setting));
    case 1:
      return check_either(parse_chat_request(body, setting));
    case 2:
      return check_either(parse_anthropic_request(body, setting));
    case 3:
      return check_either(parse_responses_request(body, setting, find));
    case 4:
      return check_either(parse_ollama_chat(body, setting));
    default:
      return check_either(parse_ollama_generate(body, setting));
  }
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  if (size == 0) return 0;
  JsonValue body;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if (const auto error = parse_body(text, &body)) {
    check_error(*error);
    return 0;
  }
  ServedModel model;
  model.calls_tools = (data[0] & 2) != 0;
  const RequestSetting setting{model, (data[0] & 4) != 0, {}, 7};
  // Bits 0, 3 and 4 are the route.
  check_route((data[0] & 1) | (data[0] >> 2 & 6), body, setting);
  return 0;
}
