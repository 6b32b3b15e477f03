// ApiRoutes: which path is answered by what. Called by the HTTP server's thread. Large requests are
// read and answered by a thread of its own; what is answered later, the service's thread answers.
#pragma once

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/api_key_watch.h"
#include "coordinator/serving/http/api_keys.h"
#include "coordinator/serving/http/api_reply.h"
#include "coordinator/serving/http/cors.h"
#include "coordinator/serving/http/dashboard_routes.h"
#include "coordinator/serving/http/http_exchange.h"
#include "coordinator/serving/http/key_check.h"
#include "coordinator/serving/http/metered_service.h"
#include "coordinator/serving/http/openai_answer.h"
#include "coordinator/serving/http/openai_request.h"
#include "coordinator/serving/http/response_store.h"
#include "coordinator/serving/http/side_thread.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"

namespace potluck {

// What /metrics says of a pool; of its devices one by one only to those who may see the dashboard.
using MoreMetrics = std::function<void(bool with_devices, MetricText* text)>;

struct ApiOptions {
  ApiKeys keys;
  std::unique_ptr<ApiKeyWatch> key_watch;  // where keys may change; it replaces `keys`
  CorsPolicy cors;
  SamplingSettings sampling;  // where a request says nothing
  std::string fingerprint = "potluck";
  // Adds to what /metrics says; called by the HTTP server's thread. May be empty.
  MoreMetrics more_metrics = {};
  std::span<const WebFile> pages = {};  // of the dashboard; none: there is none
};

class ApiRoutes final : public HttpHandler {
 public:
  // All must outlive the routes; entropy must be one for any thread.
  ApiRoutes(CompletionService* service, ApiOptions options, const Clock* clock, Entropy* entropy)
      : metrics_(std::make_shared<ServiceMetrics>()),
        service_(service, metrics_, clock),
        keys_(std::move(options.keys), std::move(options.key_watch)),
        options_(std::move(options)),
        clock_(*clock),
        entropy_(*entropy),
        dashboard_(options_.pages, service, metrics_.get(), &keys_, &side_) {}

  DashboardRoutes& dashboard() { return dashboard_; }
  // The paths and methods that are answered, without /v1 and without those of the dashboard. A path
  // that ends with a slash stands for all that begin with it.
  static std::vector<RouteName> list();
  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override;
  HttpResponse refuse(int status, const std::string& message) override;

 private:
  static constexpr std::string_view kResponsesPrefix = "/responses/";
  struct Call {
    HttpRequest request;
    std::string path;  // without /v1
    ApiReply reply;
    std::string user;    // the name of the key
    bool local = false;  // the key's requests stay in this pool
  };
  struct Route;
  static std::span<const Route> routes();
  // The route of that path and method, or one of that path, or none.
  static const Route* find_route(std::string_view path, std::string_view method);

  void answer(const Route& route, Call call);
  void answer_aside(const Route& route, Call call);
  void health(const Call& call);
  void models(const Call& call);
  void one_model(const Call& call);
  void chat(const Call& call);
  void completions(const Call& call);
  void embeddings(const Call& call);
  void tokenize(const Call& call);
  void detokenize(const Call& call);
  // anthropic_routes.cpp
  void messages(const Call& call);
  void count_tokens(const Call& call);
  // responses_routes.cpp
  void responses(const Call& call);
  void one_response(const Call& call);
  void delete_response(const Call& call);
  // ollama_routes.cpp
  void ollama_version(const Call& call);
  void ollama_tags(const Call& call);
  void ollama_show(const Call& call);
  void ollama_running(const Call& call);
  void ollama_chat(const Call& call);
  void ollama_generate(const Call& call);
  void answer_ollama(const Call& call, bool generate);

  void metrics(const Call& call);
  void openapi(const Call& call);

  bool refused_while_loading(const Call& call) const;
  // Nothing where the reply has been made, with an error.
  std::optional<JsonValue> body_of(const Call& call) const;
  std::optional<OpenAiRequest> accepted(const Call& call, const JsonValue& body,
                                        OpenAiParsed parsed) const;
  // Answers with one choice.
  void run(const Call& call, const JsonValue& body, CompletionRequest request,
           std::unique_ptr<AnswerWriter> writer);
  RequestSetting setting();
  AnswerIdentity identity(std::string_view prefix);
  std::string random_id(std::string_view prefix);

  const std::shared_ptr<ServiceMetrics> metrics_;
  MeteredService service_;
  KeyCheck keys_;
  const ApiOptions options_;  // but the keys
  const Clock& clock_;
  Entropy& entropy_;
  const std::shared_ptr<ResponseStore> responses_ = std::make_shared<ResponseStore>();
  DashboardRoutes dashboard_;
  SideThread side_;  // the last one: it works with all of them
};

}  // namespace potluck
