#include "coordinator/serving/http/routes.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/serving/http/anthropic_answer.h"
#include "coordinator/serving/http/completion_run.h"
#include "coordinator/serving/http/first_call_writer.h"
#include "coordinator/serving/http/iso_time.h"
#include "coordinator/serving/http/ollama_answer.h"
#include "coordinator/serving/http/openai_chat.h"
#include "coordinator/serving/http/openai_completions.h"
#include "coordinator/serving/http/openai_messages.h"
#include "coordinator/serving/http/openai_models.h"
#include "coordinator/serving/http/openapi_document.h"
#include "coordinator/serving/http/request_address.h"
#include "engine/base/limits.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

constexpr std::string_view kModelPrefix = "/models/";
constexpr std::string_view kOllamaPrefix = "/api/";
// Reading more than this takes so long that others would notice.
constexpr size_t kLargeBody = 64 * kKiB;
constexpr uint32_t kRetrySeconds = 1;

// Many paste the address without /v1, or with a slash at its end.
std::string bare_path(std::string_view path) {
  while (path.starts_with("//")) path.remove_prefix(1);
  if (path.starts_with("/v1/")) path.remove_prefix(3);
  while (path.starts_with("//")) path.remove_prefix(1);
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

ApiError not_ready(ServiceState state) {
  switch (state) {
    case ServiceState::kLoading:
      return unavailable("Loading model", 0);
    case ServiceState::kDraining:
      return unavailable("The server is stopping", 0);
    case ServiceState::kReady:
    case ServiceState::kFailed:
      break;
  }
  ApiError error = unavailable("The model could not be loaded", 0);
  error.retry_after_seconds = 0;
  error.retry_helps = false;
  return error;
}

ApiError from_encoding(const Error& error) {
  return invalid_request("", error.message);
}

void write_model_metrics(const CompletionService& service, MetricText* text) {
  const ServedModel& model = service.model();
  text->begin("model_info", "gauge", "Always 1; the labels say which model is served.");
  text->sample("model_info",
               fmt::format("{},{},{}", metric_label("model", model.id),
                           metric_label("architecture", model.architecture),
                           metric_label("quantization", model.quantization)),
               uint64_t{1});
  const bool loading = service.state() == ServiceState::kLoading;
  const LoadingProgress progress = loading ? service.loading() : LoadingProgress();
  text->gauges({
      {"model_parameters", "Elements of all tensors of the model.", model.parameters},
      {"model_file_bytes", "Size of the model's file.", model.file_bytes},
      {"model_context_tokens", "Positions of a conversation.", model.context},
      {"loading_stage_done", "While the model loads: what is done of the present stage.",
       progress.done},
      {"loading_stage_size", "While the model loads: all of that stage; 0: unknown.",
       progress.total},
  });
}

JsonValue token_array(const std::vector<TokenId>& tokens) {
  JsonValue::Array array;
  array.reserve(tokens.size());
  for (const TokenId token : tokens) array.push_back(as_json(token));
  return JsonValue{std::move(array)};
}

}  // namespace

struct ApiRoutes::Route {
  std::string_view path;  // of all that begin with it, if it ends with a slash
  std::string_view method;
  bool open;  // answered without a key
  void (ApiRoutes::*answer)(const Call& call);
  ErrorForm error_form = error_json;

  bool is_at(std::string_view asked) const {
    return path.ends_with('/') ? asked.starts_with(path) && asked != path : asked == path;
  }
};

std::span<const ApiRoutes::Route> ApiRoutes::routes() {
  static constexpr Route kRoutes[] = {
      {"/health", "GET", true, &ApiRoutes::health},
      {"/ready", "GET", true, &ApiRoutes::health},
      {"/models", "GET", true, &ApiRoutes::models},
      {kModelPrefix, "GET", true, &ApiRoutes::one_model},
      {"/chat/completions", "POST", false, &ApiRoutes::chat},
      {"/completions", "POST", false, &ApiRoutes::completions},
      {"/embeddings", "POST", false, &ApiRoutes::embeddings},
      {"/tokenize", "POST", false, &ApiRoutes::tokenize},
      {"/detokenize", "POST", false, &ApiRoutes::detokenize},
      {"/metrics", "GET", false, &ApiRoutes::metrics},
      {"/openapi.json", "GET", true, &ApiRoutes::openapi},
      {"/responses", "POST", false, &ApiRoutes::responses},
      {kResponsesPrefix, "GET", false, &ApiRoutes::one_response},
      {kResponsesPrefix, "DELETE", false, &ApiRoutes::delete_response},
      {"/messages", "POST", false, &ApiRoutes::messages, anthropic_error},
      {"/messages/count_tokens", "POST", false, &ApiRoutes::count_tokens, anthropic_error},
      {"/api/version", "GET", true, &ApiRoutes::ollama_version, ollama_error},
      {"/api/tags", "GET", true, &ApiRoutes::ollama_tags, ollama_error},
      {"/api/show", "POST", true, &ApiRoutes::ollama_show, ollama_error},
      {"/api/ps", "GET", true, &ApiRoutes::ollama_running, ollama_error},
      {"/api/chat", "POST", false, &ApiRoutes::ollama_chat, ollama_error},
      {"/api/generate", "POST", false, &ApiRoutes::ollama_generate, ollama_error},
  };
  return kRoutes;
}

std::vector<RouteName> ApiRoutes::list() {
  std::vector<RouteName> names;
  for (const Route& route : routes()) names.push_back({std::string(route.path), route.method});
  return names;
}

const ApiRoutes::Route* ApiRoutes::find_route(std::string_view path, std::string_view method) {
  const Route* found = nullptr;
  for (const Route& route : routes()) {
    if (!route.is_at(path)) continue;
    if (route.method == method) return &route;
    found = &route;
  }
  return found;
}

void ApiRoutes::handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  std::string path = bare_path(request.path);
  const bool page = dashboard_.has(path);
  // Other pages, also those that may use the model, have no business with the pool.
  HttpHeaders headers = page ? page_headers() : options_.cors.headers(request.headers);
  headers.emplace_back("Date", http_date(clock_.unix_seconds()));
  // The one name is OpenAI's, the other Anthropic's.
  const std::string id = random_id("req-");
  headers.emplace_back("x-request-id", id);
  headers.emplace_back("request-id", id);
  Call call{
      std::move(request), std::move(path), ApiReply(std::move(exchange), std::move(headers)), {}};
  const std::string& method = call.request.method;
  if (page) return dashboard_.handle(call.request, call.path, call.reply);
  if (method == "OPTIONS") {
    return call.reply.respond(options_.cors.preflight(call.request.headers));
  }
  const Route* route = find_route(call.path, method);
  if (route == nullptr) {
    if (call.path.starts_with(kOllamaPrefix)) call.reply.set_error_form(ollama_error);
    return call.reply.error(
        not_found(fmt::format("there is nothing at {}", call.request.path), "unknown_url"));
  }
  call.reply.set_error_form(route->error_form);
  if (method != route->method) {
    ApiError error = from_status(
        405, fmt::format("{} is answered for {} alone", call.request.path, route->method));
    HttpResponse response = error_response(error, route->error_form);
    response.headers.emplace_back("Allow", fmt::format("{}, OPTIONS", route->method));
    return call.reply.respond(std::move(response));
  }
  answer(*route, std::move(call));
}

void ApiRoutes::answer(const Route& route, Call call) {
  if (!route.open) {
    auto name = keys_.admit(call.request.headers);
    if (!name) return call.reply.error(missing_key());
    call.user = *std::move(name);
    call.local = keys_.stays_here(call.user);
  }
  if (call.request.body.size() >= kLargeBody) return answer_aside(route, std::move(call));
  (this->*route.answer)(call);
}

void ApiRoutes::answer_aside(const Route& route, Call call) {
  const auto kept = std::make_shared<const Call>(std::move(call));
  const bool taken = side_.run([this, &route, kept] {
    const Status done = guard_memory("a request", [&]() -> Status {
      (this->*route.answer)(*kept);
      return {};
    });
    if (!done) kept->reply.error(unavailable(done.error().message, kRetrySeconds));
  });
  if (!taken) kept->reply.error(unavailable("too many large requests wait", kRetrySeconds));
}

HttpResponse ApiRoutes::refuse(int status, const std::string& message) {
  HttpResponse response = error_response(from_status(status, message));
  response.headers.emplace_back("x-request-id", random_id("req-"));
  return response;
}

// The error says that the model is loading, as llama.cpp's does; beside it stands how far that is.
void ApiRoutes::health(const Call& call) {
  const ServiceState state = service_.state();
  if (state == ServiceState::kReady) {
    return call.reply.json(JsonObject().add("status", "ok").take());
  }
  const ApiError error = not_ready(state);
  HttpResponse response = error_response(error);
  if (state == ServiceState::kLoading) {
    const LoadingProgress progress = service_.loading();
    JsonValue body = error_json(error);
    std::get<JsonValue::Object>(body.data).emplace_back("loading", JsonObject()
                                                                       .add("stage", progress.stage)
                                                                       .add("done", progress.done)
                                                                       .add("total", progress.total)
                                                                       .take());
    response.body = write_json(body);
  }
  call.reply.respond(std::move(response));
}

void ApiRoutes::models(const Call& call) {
  call.reply.json(model_list_json(service_.model()));
}

void ApiRoutes::one_model(const Call& call) {
  const std::string id = call.path.substr(kModelPrefix.size());
  if (id == service_.model().id) return call.reply.json(model_json(service_.model()));
  call.reply.error(
      not_found(fmt::format("there is no model '{}' here, but '{}'", id, service_.model().id),
                "model_not_found"));
}

void ApiRoutes::chat(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  auto request = accepted(call, *body, parse_chat_request(*body, setting()));
  if (!request) return;
  std::unique_ptr<AnswerWriter> writer;
  if (request->stream) {
    writer = std::make_unique<ChatStreamWriter>(identity("chatcmpl-"), *request);
  } else {
    writer = std::make_unique<ChatBodyWriter>(identity("chatcmpl-"), *request);
  }
  if (request->one_call) writer = std::make_unique<FirstCallWriter>(std::move(writer));
  CompletionRun::start(&service_, call.reply, std::move(request->choices), std::move(writer));
}

void ApiRoutes::completions(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  auto request = accepted(call, *body, parse_completions_request(*body, setting()));
  if (!request) return;
  auto writer = std::make_unique<TextWriter>(identity("cmpl-"), *request);
  CompletionRun::start(&service_, call.reply, std::move(request->choices), std::move(writer));
}

void ApiRoutes::metrics(const Call& call) {
  const bool ready = service_.state() == ServiceState::kReady;
  MetricText text;
  metrics_->write(options_.fingerprint, ready, service_.figures(), &text);
  keys_.write_metrics(&text);
  write_model_metrics(service_, &text);
  if (options_.more_metrics) {
    options_.more_metrics(dashboard_.shown_to(call.request.headers), &text);
  }
  call.reply.respond(
      {200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, text.take()});
}

void ApiRoutes::openapi(const Call& call) {
  call.reply.respond(
      {200, {{"Content-Type", "application/json"}}, std::string(openapi_document())});
}

void ApiRoutes::embeddings(const Call& call) {
  call.reply.error(from_status(501, "this server makes no embeddings"));
}

void ApiRoutes::tokenize(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  std::optional<ApiError> error;
  JsonFields fields(*body, "", &error);
  CompletionPrompt prompt;
  if (fields.find("messages") != nullptr) {
    prompt = read_conversation(fields);
  } else {
    // llama.cpp's name for it, and vLLM's.
    auto text = fields.text("content");
    if (!text) text = fields.text("prompt");
    if (!text) fields.fail("content", "'content' or 'messages' is missing");
    prompt = text.value_or("");
  }
  if (error) return call.reply.error(*error);
  if (refused_while_loading(call)) return;
  const auto tokens = service_.encode(prompt);
  if (!tokens) return call.reply.error(from_encoding(tokens.error()));
  call.reply.json(JsonObject()
                      .add("tokens", token_array(*tokens))
                      .add("count", tokens->size())
                      .add("max_model_len", service_.model().context)
                      .take());
}

void ApiRoutes::detokenize(const Call& call) {
  const auto body = body_of(call);
  if (!body) return;
  std::optional<ApiError> error;
  JsonFields fields(*body, "", &error);
  std::vector<TokenId> tokens;
  const JsonValue::Array* list = fields.array("tokens");
  if (list == nullptr) fields.fail("tokens", "'tokens' is missing");
  for (size_t i = 0; list != nullptr && i < list->size() && !error; ++i) {
    const auto id = whole_number((*list)[i]);
    if (id && *id >= 0 && *id < limits::kVocabulary) {
      tokens.push_back(static_cast<TokenId>(*id));
    } else {
      fields.fail("tokens", fmt::format("'tokens[{}]' is no token id", i));
    }
  }
  if (error) return call.reply.error(*error);
  if (refused_while_loading(call)) return;
  const auto text = service_.decode(tokens);
  if (!text) return call.reply.error(from_encoding(text.error()));
  // The one name is llama.cpp's, the other vLLM's.
  call.reply.json(JsonObject().add("content", *text).add("prompt", *text).take());
}

bool ApiRoutes::refused_while_loading(const Call& call) const {
  const ServiceState state = service_.state();
  const bool loading = state == ServiceState::kLoading;
  if (loading) call.reply.error(not_ready(state));
  return loading;
}

std::optional<JsonValue> ApiRoutes::body_of(const Call& call) const {
  JsonValue body;
  const auto error = parse_body(call.request.body, &body);
  if (!error) return body;
  call.reply.error(*error);
  return std::nullopt;
}

std::optional<OpenAiRequest> ApiRoutes::accepted(const Call& call, const JsonValue& body,
                                                 OpenAiParsed parsed) const {
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    call.reply.error(*error);
    return std::nullopt;
  }
  auto& request = std::get<OpenAiRequest>(parsed);
  // Where there are keys, whose it is decides who shares a turn, not what clients write.
  for (CompletionRequest& choice : request.choices) {
    if (!call.user.empty()) choice.user = call.user;
    address(call.request.headers, body, call.local, &choice);
    choice.siblings = request.choices.size() - 1;
  }
  return std::move(request);
}

void ApiRoutes::run(const Call& call, const JsonValue& body, CompletionRequest request,
                    std::unique_ptr<AnswerWriter> writer) {
  if (!call.user.empty()) request.user = call.user;
  address(call.request.headers, body, call.local, &request);
  std::vector<CompletionRequest> choices;
  choices.push_back(std::move(request));
  CompletionRun::start(&service_, call.reply, std::move(choices), std::move(writer));
}

RequestSetting ApiRoutes::setting() {
  return {service_.model(), service_.state() == ServiceState::kReady, options_.sampling,
          entropy_.next64()};
}

AnswerIdentity ApiRoutes::identity(std::string_view prefix) {
  return {random_id(prefix), clock_.unix_seconds(), service_.model().id, options_.fingerprint};
}

std::string ApiRoutes::random_id(std::string_view prefix) {
  return fmt::format("{}{:016x}{:08x}", prefix, entropy_.next64(),
                     static_cast<uint32_t>(entropy_.next64()));
}

}  // namespace potluck
