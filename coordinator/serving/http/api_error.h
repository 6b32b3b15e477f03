// ApiError: why a request is not answered, and the form in which clients of OpenAI's API know it.
// Other APIs have an ErrorForm of their own. Plain values and pure functions.
#pragma once

#include <optional>
#include <string>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/http_message.h"

namespace potluck {

struct ApiError {
  int status = 500;
  std::string type = "server_error";
  std::string message;
  std::optional<std::string> param{};  // the member of the request, as "messages[2].role"
  std::optional<std::string> code{};
  // Clients send a request again after some errors. 0: no word about when.
  uint32_t retry_after_seconds = 0;
  bool retry_helps = true;  // false: clients are told not to
  // For exceed_context_size_error: clients shorten their prompts by these.
  std::optional<uint32_t> prompt_tokens{};
  std::optional<uint32_t> context{};
};

ApiError invalid_request(std::string param, std::string message);
// What exists in the API and not here.
ApiError not_supported(std::string param, std::string message);
ApiError not_found(std::string message, std::string code);
ApiError unavailable(std::string message, uint32_t retry_after_seconds);
ApiError from_failure(const CompletionFailed& failed);
// For what the HTTP server refuses by itself.
ApiError from_status(int status, std::string message);

// The object that holds the error under "error".
JsonValue error_json(const ApiError& error);

// The body in which an API tells an error.
using ErrorForm = JsonValue (*)(const ApiError& error);
HttpResponse error_response(const ApiError& error, ErrorForm form = error_json);

HttpResponse json_response(int status, const JsonValue& body);

}  // namespace potluck
