#include "coordinator/serving/http/api_error.h"

#include <algorithm>
#include <utility>

#include "coordinator/serving/http/json_object.h"

namespace potluck {
namespace {

constexpr uint32_t kOverloadedSeconds = 2;  // where the service does not say
constexpr uint32_t kUnavailableSeconds = 5;

JsonValue text_or_null(const std::optional<std::string>& text) {
  return text ? JsonValue{*text} : JsonValue{};
}

ApiError too_long(const CompletionFailed& failed) {
  ApiError error{400, "exceed_context_size_error", failed.message};
  error.code = "context_length_exceeded";
  error.prompt_tokens = failed.prompt_tokens;
  error.context = failed.context;
  return error;
}

ApiError overloaded(const CompletionFailed& failed) {
  ApiError error{429, "overloaded", failed.message};
  error.code = "overloaded";
  error.retry_after_seconds =
      failed.retry_after_seconds > 0 ? failed.retry_after_seconds : kOverloadedSeconds;
  return error;
}

}  // namespace

ApiError invalid_request(std::string param, std::string message) {
  ApiError error{400, "invalid_request_error", std::move(message)};
  if (!param.empty()) error.param = std::move(param);
  return error;
}

ApiError not_supported(std::string param, std::string message) {
  ApiError error = invalid_request(std::move(param), std::move(message));
  error.code = "unsupported_parameter";
  return error;
}

ApiError not_found(std::string message, std::string code) {
  ApiError error{404, "not_found_error", std::move(message)};
  error.code = std::move(code);
  return error;
}

ApiError unavailable(std::string message, uint32_t retry_after_seconds) {
  ApiError error{503, "unavailable_error", std::move(message)};
  error.code = "unavailable";
  error.retry_after_seconds = retry_after_seconds > 0 ? retry_after_seconds : kUnavailableSeconds;
  return error;
}

ApiError from_failure(const CompletionFailed& failed) {
  switch (failed.fault) {
    case CompletionFault::kInvalid:
      return invalid_request("", failed.message);
    case CompletionFault::kTooLong:
      return too_long(failed);
    case CompletionFault::kOverloaded:
      return overloaded(failed);
    case CompletionFault::kUnavailable:
      return unavailable(failed.message, failed.retry_after_seconds);
    case CompletionFault::kInternal:
      break;
  }
  return {500, "server_error", failed.message};
}

ApiError from_status(int status, std::string message) {
  ApiError error{status, "invalid_request_error", std::move(message)};
  if (status == 413 || status == 431) error.code = "request_too_large";
  if (status == 408) error.type = "timeout_error";
  if (status == 503) return unavailable(std::move(error.message), 0);
  if (status == 501) {
    error.type = "not_supported_error";
    error.retry_helps = false;
  }
  return error;
}

JsonValue error_json(const ApiError& error) {
  JsonObject inner;
  inner.add("message", error.message)
      .add("type", error.type)
      .add("param", text_or_null(error.param))
      .add("code", text_or_null(error.code));
  if (error.prompt_tokens) inner.add("n_prompt_tokens", *error.prompt_tokens);
  if (error.context) inner.add("n_ctx", *error.context);
  return JsonObject().add("error", inner.take()).take();
}

HttpResponse json_response(int status, const JsonValue& body) {
  // Clients take the body of any other type for a plain text.
  return {status, {{"Content-Type", "application/json"}}, write_json(body)};
}

HttpResponse error_response(const ApiError& error, ErrorForm form) {
  HttpResponse response = json_response(error.status, form(error));
  if (error.retry_after_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds));
  }
  if (!error.retry_helps) response.headers.emplace_back("x-should-retry", "false");
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace potluck
