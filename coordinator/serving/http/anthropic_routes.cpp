// The routes of Anthropic's API.
#include "coordinator/serving/http/anthropic_answer.h"
#include "coordinator/serving/http/anthropic_request.h"
#include "coordinator/serving/http/completion_run.h"
#include "coordinator/serving/http/first_call_writer.h"
#include "coordinator/serving/http/routes.h"

namespace potluck {

void ApiRoutes::messages(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  AnthropicParsed parsed = parse_anthropic_request(*body, setting());
  if (const auto* error = std::get_if<ApiError>(&parsed)) return call.reply.error(*error);
  auto& asked = std::get<AnthropicRequest>(parsed);
  std::unique_ptr<AnswerWriter> writer;
  if (asked.stream) {
    writer = std::make_unique<AnthropicStreamWriter>(identity("msg_"));
  } else {
    writer = std::make_unique<AnthropicBodyWriter>(identity("msg_"));
  }
  if (asked.one_call) writer = std::make_unique<FirstCallWriter>(std::move(writer));
  run(call, *body, std::move(asked.request), std::move(writer));
}

void ApiRoutes::count_tokens(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  AnthropicParsed parsed = parse_anthropic_request(*body, setting());
  if (const auto* error = std::get_if<ApiError>(&parsed)) return call.reply.error(*error);
  if (refused_while_loading(call)) return;
  const auto tokens = service_.encode(std::get<AnthropicRequest>(parsed).request.prompt);
  if (!tokens) return call.reply.error(invalid_request("", tokens.error().message));
  call.reply.json(JsonObject().add("input_tokens", tokens->size()).take());
}

}  // namespace potluck
