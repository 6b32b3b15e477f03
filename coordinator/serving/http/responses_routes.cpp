// The routes of OpenAI's Responses API.
#include <fmt/format.h>

#include "coordinator/serving/http/first_call_writer.h"
#include "coordinator/serving/http/responses_answer.h"
#include "coordinator/serving/http/responses_request.h"
#include "coordinator/serving/http/routes.h"

namespace potluck {

void ApiRoutes::responses(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  ResponsesParsed parsed = parse_responses_request(
      *body, setting(),
      [&](const std::string& response) { return responses_->find(response, call.user); });
  if (const auto* error = std::get_if<ApiError>(&parsed)) return call.reply.error(*error);
  auto& asked = std::get<ResponsesRequest>(parsed);
  ResponsesAnswer answer{identity("resp_"), std::move(asked.echo), {}};
  if (asked.store) {
    // The service may tell events for longer than these routes live.
    answer.keep = [store = responses_, id = answer.identity.id, user = call.user,
                   messages = std::move(asked.messages)](const std::string& json,
                                                         ChatMessage said) {
      StoredResponse response{user, messages, json};
      response.messages.push_back(std::move(said));
      store->put(id, std::move(response));
    };
  }
  std::unique_ptr<AnswerWriter> writer;
  if (asked.stream) {
    writer = std::make_unique<ResponsesStreamWriter>(std::move(answer));
  } else {
    writer = std::make_unique<ResponsesBodyWriter>(std::move(answer));
  }
  if (asked.one_call) writer = std::make_unique<FirstCallWriter>(std::move(writer));
  run(call, *body, std::move(asked.request), std::move(writer));
}

namespace {

ApiError no_response(const std::string& id) {
  return not_found(fmt::format("there is no response '{}' here, or not any more", id),
                   "response_not_found");
}

}  // namespace

void ApiRoutes::one_response(const Call& call) {
  const std::string id = call.path.substr(kResponsesPrefix.size());
  const auto found = responses_->find(id, call.user);
  if (found == nullptr) return call.reply.error(no_response(id));
  call.reply.respond({200, {{"Content-Type", "application/json"}}, found->json});
}

void ApiRoutes::delete_response(const Call& call) {
  const std::string id = call.path.substr(kResponsesPrefix.size());
  if (!responses_->remove(id, call.user)) return call.reply.error(no_response(id));
  call.reply.json(JsonObject().add("id", id).add("object", "response").add("deleted", true).take());
}

}  // namespace potluck
