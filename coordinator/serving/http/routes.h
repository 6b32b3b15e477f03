// ApiRoutes: which path is answered by what. Called by the HTTP server's thread; what is answered
// later, the service's thread answers.
#pragma once

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/api_keys.h"
#include "coordinator/serving/http/api_reply.h"
#include "coordinator/serving/http/cors.h"
#include "coordinator/serving/http/http_exchange.h"
#include "coordinator/serving/http/openai_answer.h"
#include "coordinator/serving/http/openai_request.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"

namespace potluck {

struct ApiOptions {
  ApiKeys keys;
  CorsPolicy cors;
  SamplingSettings sampling;  // where a request says nothing
  std::string fingerprint = "potluck";
};

class ApiRoutes final : public HttpHandler {
 public:
  // All must outlive the routes; entropy must be one for any thread.
  ApiRoutes(CompletionService* service, ApiOptions options, const Clock* clock, Entropy* entropy)
      : service_(*service), options_(std::move(options)), clock_(*clock), entropy_(*entropy) {}

  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override;
  HttpResponse refuse(int status, const std::string& message) override;

 private:
  struct Call {
    const HttpRequest& request;
    std::string path;  // without /v1
    ApiReply reply;
    std::string user;  // the name of the key
  };
  struct Route;
  static const Route* find_route(std::string_view path);

  void answer(const Route& route, Call call);
  void health(const Call& call);
  void models(const Call& call);
  void one_model(const Call& call);
  void chat(const Call& call);
  void completions(const Call& call);
  void embeddings(const Call& call);
  void tokenize(const Call& call);
  void detokenize(const Call& call);

  bool refused_while_loading(const Call& call) const;
  // Nothing where the reply has been made, with an error.
  std::optional<JsonValue> body_of(const Call& call) const;
  std::optional<OpenAiRequest> accepted(const Call& call, OpenAiParsed parsed) const;
  RequestSetting setting();
  AnswerIdentity identity(std::string_view prefix);
  std::string random_id(std::string_view prefix);

  CompletionService& service_;
  const ApiOptions options_;
  const Clock& clock_;
  Entropy& entropy_;
};

}  // namespace potluck
