// Requests through the routes to a scripted service, without sockets.
#include "coordinator/serving/http/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/recorded_exchange.h"
#include "tests/support/scripted_service/scripted_service.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::RecordedExchange;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kChat = R"({"messages": [{"role": "user", "content": "hi"}]})";
constexpr const char* kChatStream =
    R"({"stream": true, "messages": [{"role": "user", "content": "hi"}]})";

class RoutesTest : public testing::Test {
 protected:
  std::shared_ptr<RecordedExchange> ask(const std::string& method, const std::string& path,
                                        const std::string& body = "", HttpHeaders headers = {}) {
    if (!routes_) routes_.emplace(&service_, std::move(options_), &clock_, &entropy_);
    auto exchange = std::make_shared<RecordedExchange>();
    routes_->handle({method, path, "", std::move(headers), body}, exchange);
    return exchange;
  }
  static json body_of(const RecordedExchange& exchange) {
    EXPECT_EQ(exchange.header("content-type"), "application/json");
    return json::parse(exchange.body);
  }

  test::ScriptedService service_;
  ManualClock clock_;
  SeededEntropy entropy_{1};
  ApiOptions options_;
  std::optional<ApiRoutes> routes_;
};

TEST_F(RoutesTest, AnswersAChatAsAWhole) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChat);
  ASSERT_EQ(service_.submitted(), 1U);
  service_.tell(0, CompletionAdmitted{2});
  service_.tell(0, test::said("hello"));
  EXPECT_EQ(exchange->responses, 0);
  service_.tell(0, test::finished(FinishReason::kStop));
  EXPECT_EQ(exchange->responses, 1);
  EXPECT_EQ(exchange->head.status, 200);
  const json answer = body_of(*exchange);
  EXPECT_THAT(answer["id"].get<std::string>(), StartsWith("chatcmpl-"));
  EXPECT_EQ(answer["created"], clock_.unix_seconds());
  EXPECT_EQ(answer["model"], "taleteller");
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "hello");
  EXPECT_THAT(exchange->header("x-request-id"), StartsWith("req-"));
}

TEST_F(RoutesTest, SendsTheHeadOfAStreamAtAdmission) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChatStream);
  EXPECT_FALSE(exchange->streaming);
  service_.tell(0, CompletionAdmitted{2});
  EXPECT_TRUE(exchange->streaming);
  EXPECT_EQ(exchange->header("content-type"), "text/event-stream");
  EXPECT_EQ(exchange->header("cache-control"), "no-cache");
  EXPECT_EQ(exchange->idle_comment, ": keep-alive\n\n");
  EXPECT_THAT(exchange->body, HasSubstr("assistant"));
  service_.tell(0, test::said("hello"));
  EXPECT_THAT(exchange->body, HasSubstr("hello"));
  EXPECT_FALSE(exchange->ended);
  service_.tell(0, test::finished(FinishReason::kStop));
  EXPECT_TRUE(exchange->ended);
  EXPECT_THAT(exchange->body, testing::EndsWith("data: [DONE]\n\n"));
}

TEST_F(RoutesTest, AStreamTellsItsPlaceInTheQueue) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChatStream);
  const auto whole = ask("POST", "/v1/chat/completions", kChat);
  const auto lines = ask("POST", "/api/generate", R"({"prompt": "hi"})");
  for (CompletionId id = 0; id < 3; ++id) {
    service_.tell(id, CompletionAdmitted{2, 3});
    service_.tell(id, CompletionQueued{3, 12});
    service_.tell(id, CompletionQueued{2, 0});
    service_.tell(id, test::finished(FinishReason::kStop));
  }
  EXPECT_THAT(exchange->body, HasSubstr("\n\n: waiting, 3 before this one, about 12 s\n\n"));
  EXPECT_THAT(exchange->body, HasSubstr("\n\n: waiting, 2 before this one\n\n"));
  EXPECT_THAT(exchange->body, testing::EndsWith("data: [DONE]\n\n"));
  EXPECT_THAT(whole->body, testing::Not(HasSubstr("waiting")));
  EXPECT_THAT(lines->body, testing::Not(HasSubstr("waiting")));
}

// In every API, whole or as a stream.
TEST_F(RoutesTest, AnAnswerFromElsewhereSaysSo) {
  const std::pair<const char*, const char*> asked[] = {
      {"/v1/chat/completions", kChat},
      {"/v1/chat/completions", kChatStream},
      {"/v1/messages", kChat},
      {"/v1/messages", kChatStream},
      {"/v1/responses", R"({"input": "hi"})"},
      {"/v1/responses", R"({"input": "hi", "stream": true})"},
      {"/api/chat", kChat},
      {"/api/generate", R"({"prompt": "hi", "stream": false})"}};
  CompletionId id = 0;
  for (const auto& [path, body] : asked) {
    const auto exchange = ask("POST", path, body);
    service_.tell(id, CompletionAdmitted{2, 0, "cloud", "large", "other"});
    service_.tell(id, test::said("hello"));
    service_.tell(id++, test::finished(FinishReason::kStop));
    EXPECT_EQ(exchange->header("x-potluck-upstream"), "cloud") << path;
    EXPECT_EQ(exchange->header("x-potluck-upstream-model"), "large") << path;
    EXPECT_EQ(exchange->header("x-potluck-upstream-failed"), "other") << path;
    EXPECT_THAT(exchange->body, HasSubstr(R"("model": "large")")) << path;
    EXPECT_THAT(exchange->body, testing::Not(HasSubstr("taleteller"))) << path;
  }
  const auto failed = ask("POST", "/v1/chat/completions", kChat);
  service_.tell(id, CompletionFailed{CompletionFault::kUnavailable, "no", 0, 0, 0, "cloud"});
  EXPECT_EQ(failed->header("x-potluck-upstream-failed"), "cloud");
  EXPECT_EQ(failed->header("x-potluck-upstream"), "");
}

TEST_F(RoutesTest, TheServiceIsToldWhatStaysAndWhichModelIsMeant) {
  ask("POST", "/v1/chat/completions", R"({"model": "large", "n": 2, "messages": [{"role": "user",
      "content": "hi"}]})",
      {{"X-Potluck-Local", "1"}});
  EXPECT_EQ(service_.request(0).model, "large");
  EXPECT_TRUE(service_.request(1).local);
  EXPECT_EQ(service_.request(1).siblings, 1U);
  for (const char* path : {"/v1/messages", "/api/chat"}) {
    ask("POST", path, R"({"model": "large", "potluck_local": true, "messages": [{"role": "user",
        "content": "hi"}]})");
    EXPECT_EQ(service_.request(service_.submitted() - 1).model, "large");
    EXPECT_TRUE(service_.request(service_.submitted() - 1).local);
  }
  ask("POST", "/v1/responses", R"({"input": "hi"})");
  EXPECT_FALSE(service_.request(service_.submitted() - 1).local);
}

TEST_F(RoutesTest, AFailureBeforeAdmissionIsAStatus) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChatStream);
  service_.tell(0, CompletionFailed{CompletionFault::kOverloaded, "8 are waiting", 0, 0, 3});
  EXPECT_EQ(exchange->head.status, 429);
  EXPECT_EQ(exchange->header("retry-after"), "3");
  EXPECT_EQ(body_of(*exchange)["error"]["message"], "8 are waiting");
}

TEST_F(RoutesTest, AFailureInAStreamIsItsLastEvent) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChatStream);
  service_.tell(0, CompletionAdmitted{2});
  service_.tell(0, CompletionFailed{CompletionFault::kInternal, "it broke"});
  EXPECT_EQ(exchange->head.status, 200);
  EXPECT_TRUE(exchange->ended);
  const auto events = test::stream_events(exchange->body);
  EXPECT_EQ(events.back()["error"]["message"], "it broke");
  EXPECT_EQ(exchange->body.find("[DONE]"), std::string::npos);
}

TEST_F(RoutesTest, AFailureWithoutAStreamIsAStatusEvenLate) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChat);
  service_.tell(0, CompletionAdmitted{2});
  service_.tell(0, test::said("he"));
  service_.tell(0, CompletionFailed{CompletionFault::kInternal, "it broke"});
  EXPECT_EQ(exchange->head.status, 500);
  EXPECT_EQ(exchange->responses, 1);
}

TEST_F(RoutesTest, AClientThatLeavesCancelsAllItsChoices) {
  const auto exchange =
      ask("POST", "/v1/chat/completions",
          R"({"n": 2, "stream": true, "messages": [{"role": "user", "content": "hi"}]})");
  ASSERT_EQ(service_.submitted(), 2U);
  service_.tell(0, CompletionAdmitted{2});
  const std::string before = exchange->body;
  exchange->closed();
  EXPECT_TRUE(service_.cancelled(0));
  EXPECT_TRUE(service_.cancelled(1));
  EXPECT_EQ(exchange->body, before);
}

TEST_F(RoutesTest, WhenOneChoiceFailsTheOthersAreCancelled) {
  const auto exchange = ask("POST", "/v1/chat/completions",
                            R"({"n": 3, "messages": [{"role": "user", "content": "hi"}]})");
  service_.tell(1, CompletionFailed{CompletionFault::kInternal, "it broke"});
  EXPECT_EQ(exchange->head.status, 500);
  EXPECT_FALSE(service_.cancelled(0));  // not while the service is telling
  exchange->run_all();
  EXPECT_TRUE(service_.cancelled(0));
  EXPECT_TRUE(service_.cancelled(2));
  EXPECT_EQ(exchange->responses, 1);
}

TEST_F(RoutesTest, ARefusalInsideOfSubmitEndsTheRequest) {
  test::ScriptedService refusing([](const CompletionRequest&) {
    return std::vector<CompletionEvent>{CompletionFailed{CompletionFault::kUnavailable, "loading"}};
  });
  ApiRoutes routes(&refusing, {}, &clock_, &entropy_);
  const auto exchange = std::make_shared<RecordedExchange>();
  routes.handle({"POST",
                 "/v1/chat/completions",
                 "",
                 {},
                 R"({"n": 4, "messages": [{"role": "user", "content": "hi"}]})"},
                exchange);
  EXPECT_EQ(exchange->responses, 1);
  EXPECT_EQ(exchange->head.status, 503);
  EXPECT_EQ(refusing.submitted(), 1U);
}

TEST_F(RoutesTest, ACancelledRequestWhoseClientIsThereIsToldSo) {
  const auto whole = ask("POST", "/v1/chat/completions", kChat);
  service_.tell(0, test::finished(FinishReason::kCancelled));
  EXPECT_EQ(whole->head.status, 503);
  const auto stream = ask("POST", "/v1/chat/completions", kChatStream);
  service_.tell(1, CompletionAdmitted{2});
  service_.tell(1, test::finished(FinishReason::kCancelled));
  EXPECT_TRUE(test::stream_events(stream->body).back().contains("error"));
}

TEST_F(RoutesTest, ARequestThatTheServiceForgetsIsAnswered) {
  const auto exchange = ask("POST", "/v1/chat/completions", kChat);
  service_.forget(0);
  EXPECT_EQ(exchange->head.status, 500);
}

TEST_F(RoutesTest, AnswersCompletions) {
  const auto exchange = ask("POST", "/v1/completions", R"({"prompt": "Once"})");
  ASSERT_EQ(service_.submitted(), 1U);
  EXPECT_EQ(std::get<std::string>(service_.request(0).prompt), "Once");
  service_.tell(0, test::said(" upon"));
  service_.tell(0, test::finished(FinishReason::kLength));
  const json answer = body_of(*exchange);
  EXPECT_THAT(answer["id"].get<std::string>(), StartsWith("cmpl-"));
  EXPECT_EQ(answer["choices"][0]["text"], " upon");
}

TEST_F(RoutesTest, RefusesBodiesThatAreNoRequests) {
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"}) {
    for (const char* body : {"", "{", "[]", "{\"a\": \"\xFF\"}", "{}"}) {
      const auto exchange = ask("POST", path, body);
      EXPECT_EQ(exchange->head.status, 400) << path << " " << body;
      EXPECT_EQ(body_of(*exchange)["error"]["type"], "invalid_request_error");
    }
  }
  EXPECT_EQ(service_.submitted(), 0U);
}

TEST_F(RoutesTest, ModelsAnswerWhileLoading) {
  service_.set_state(ServiceState::kLoading);
  for (const char* path : {"/v1/models", "/models", "/v1/models/", "//v1/models", "/v1//models"}) {
    const auto exchange = ask("GET", path);
    EXPECT_EQ(exchange->head.status, 200) << path;
    EXPECT_EQ(body_of(*exchange)["data"][0]["id"], "taleteller");
  }
}

TEST_F(RoutesTest, FindsAModelWhoseIdHasSlashes) {
  service_.served_model().id = "user/repo:Q4";
  EXPECT_EQ(body_of(*ask("GET", "/v1/models/user/repo:Q4"))["id"], "user/repo:Q4");
  EXPECT_EQ(body_of(*ask("GET", "/models/user/repo:Q4"))["object"], "model");
  const auto other = ask("GET", "/v1/models/other");
  EXPECT_EQ(other->head.status, 404);
  EXPECT_EQ(body_of(*other)["error"]["code"], "model_not_found");
}

TEST_F(RoutesTest, HealthSaysWhatTheServiceIsDoing) {
  for (const char* path : {"/health", "/ready", "/v1/health"}) {
    service_.set_state(ServiceState::kReady);
    EXPECT_EQ(ask("GET", path)->head.status, 200) << path;
    service_.set_state(ServiceState::kLoading);
    const auto loading = ask("GET", path);
    EXPECT_EQ(loading->head.status, 503);
    EXPECT_EQ(body_of(*loading)["error"]["message"], "Loading model");
    EXPECT_EQ(body_of(*loading)["error"]["type"], "unavailable_error");
    EXPECT_EQ(body_of(*loading)["loading"], json::parse(R"({"stage": "", "done": 0, "total": 0})"));
    EXPECT_NE(loading->header("retry-after"), "");
    service_.set_state(ServiceState::kFailed);
    const auto failed = ask("GET", path);
    EXPECT_EQ(failed->head.status, 503);
    EXPECT_EQ(failed->header("x-should-retry"), "false");
  }
  service_.set_state(ServiceState::kReady);
  EXPECT_EQ(body_of(*ask("GET", "/health"))["status"], "ok");
}

TEST_F(RoutesTest, WhileLoadingNothingIsTokenized) {
  service_.set_state(ServiceState::kLoading);
  EXPECT_EQ(ask("POST", "/tokenize", R"({"content": "AB"})")->head.status, 503);
  EXPECT_EQ(ask("POST", "/detokenize", R"({"tokens": [65]})")->head.status, 503);
}

TEST_F(RoutesTest, TurnsTextIntoTokensAndBack) {
  const json tokens = body_of(*ask("POST", "/tokenize", R"({"content": "AB"})"));
  EXPECT_EQ(tokens["tokens"], json::parse("[65, 66]"));
  EXPECT_EQ(tokens["count"], 2);
  EXPECT_EQ(body_of(*ask("POST", "/tokenize", kChat))["tokens"], json::parse("[104, 105]"));
  EXPECT_EQ(body_of(*ask("POST", "/v1/tokenize", R"({"prompt": "A"})"))["count"], 1);
  EXPECT_EQ(body_of(*ask("POST", "/detokenize", R"({"tokens": [65, 66]})"))["content"], "AB");
  for (const char* bad : {R"({"tokens": [300]})", R"({"tokens": [-1]})", R"({"tokens": "AB"})",
                          R"({"tokens": ["A"]})"}) {
    EXPECT_EQ(ask("POST", "/detokenize", bad)->head.status, 400) << bad;
  }
}

TEST_F(RoutesTest, SaysWhatIsNotThere) {
  const auto unknown = ask("GET", "/v1/nothing");
  EXPECT_EQ(unknown->head.status, 404);
  EXPECT_EQ(body_of(*unknown)["error"]["type"], "not_found_error");
  const auto embeddings = ask("POST", "/v1/embeddings", "{}");
  EXPECT_EQ(embeddings->head.status, 501);
  EXPECT_EQ(body_of(*embeddings)["error"]["type"], "not_supported_error");
  EXPECT_EQ(embeddings->header("x-should-retry"), "false");
  const auto method = ask("GET", "/v1/chat/completions");
  EXPECT_EQ(method->head.status, 405);
  EXPECT_EQ(method->header("allow"), "POST, OPTIONS");
  EXPECT_EQ(ask("DELETE", "/v1/models/taleteller")->head.status, 405);
}

TEST_F(RoutesTest, AsksForKeysWhereThereAreAny) {
  const std::string digest = sha256(as_bytes("secret")).hex();
  options_.keys = *ApiKeys::parse(digest + " ann");
  const auto refused = ask("POST", "/v1/chat/completions", kChat);
  EXPECT_EQ(refused->head.status, 401);
  EXPECT_EQ(body_of(*refused)["error"]["type"], "authentication_error");
  EXPECT_EQ(body_of(*refused)["error"]["code"], "invalid_api_key");
  EXPECT_EQ(ask("POST", "/tokenize", kChat)->head.status, 401);
  EXPECT_EQ(service_.submitted(), 0U);
  for (const char* open : {"/health", "/ready", "/v1/models", "/v1/models/taleteller"}) {
    EXPECT_EQ(ask("GET", open)->head.status, 200) << open;
  }
  EXPECT_EQ(ask("OPTIONS", "/v1/chat/completions")->head.status, 204);
  ask("POST", "/v1/chat/completions", kChat, {{"Authorization", "Bearer secret"}});
  ASSERT_EQ(service_.submitted(), 1U);
  EXPECT_EQ(service_.request(0).user, "ann");  // not what the request says
  EXPECT_EQ(ask("GET", "/metrics")->head.status, 401);
  const auto metrics = ask("GET", "/metrics", "", {{"Authorization", "Bearer secret"}});
  EXPECT_THAT(metrics->body, HasSubstr("potluck_requests_total{key=\"ann\"} 2\n"));
}

TEST_F(RoutesTest, PagesOfThisMachineMayReadAnswers) {
  const auto local = ask("GET", "/v1/models", "", {{"Origin", "http://localhost:3000"}});
  EXPECT_EQ(local->header("access-control-allow-origin"), "http://localhost:3000");
  const auto other = ask("GET", "/v1/models", "", {{"Origin", "https://example.org"}});
  EXPECT_EQ(other->header("access-control-allow-origin"), "");
  const auto error = ask("GET", "/nothing", "", {{"Origin", "http://localhost:3000"}});
  EXPECT_EQ(error->header("access-control-allow-origin"), "http://localhost:3000");
  const auto preflight =
      ask("OPTIONS", "/v1/chat/completions", "", {{"Origin", "http://localhost:3000"}});
  EXPECT_EQ(preflight->header("access-control-allow-origin"), "http://localhost:3000");
  EXPECT_NE(preflight->header("access-control-allow-methods"), "");
}

TEST_F(RoutesTest, RefusesWithABodyOfItsForm) {
  ask("GET", "/health");
  const HttpResponse response = routes_->refuse(413, "the body is too large");
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(json::parse(response.body)["error"]["code"], "request_too_large");
}

TEST_F(RoutesTest, AnswersAnthropicsMessages) {
  const auto exchange = ask("POST", "/v1/messages", kChat);
  service_.tell(0, CompletionAdmitted{2});
  service_.tell(0, test::said("hello"));
  service_.tell(0, test::finished(FinishReason::kStop));
  const json answer = body_of(*exchange);
  EXPECT_THAT(answer["id"].get<std::string>(), StartsWith("msg_"));
  EXPECT_EQ(answer["content"][0]["text"], "hello");
  EXPECT_THAT(exchange->header("request-id"), StartsWith("req-"));
  const auto streamed = ask("POST", "/v1/messages", kChatStream);
  service_.tell(1, CompletionAdmitted{2});
  EXPECT_EQ(streamed->header("content-type"), "text/event-stream");
  EXPECT_THAT(streamed->idle_comment, StartsWith("event: ping"));
  EXPECT_EQ(body_of(*ask("POST", "/v1/messages/count_tokens", kChat))["input_tokens"], 2);
}

TEST_F(RoutesTest, ErrorsHaveTheFormOfTheirApi) {
  options_.keys = *ApiKeys::parse(sha256(as_bytes("secret")).hex());
  const auto refused = ask("POST", "/v1/messages", kChat);
  EXPECT_EQ(refused->head.status, 401);
  EXPECT_EQ(body_of(*refused)["type"], "error");
  EXPECT_EQ(body_of(*refused)["error"]["type"], "authentication_error");
  const auto bad = ask("POST", "/v1/messages", "{}", {{"x-api-key", "secret"}});
  EXPECT_EQ(bad->head.status, 400);
  EXPECT_EQ(body_of(*bad)["error"]["type"], "invalid_request_error");
  EXPECT_EQ(body_of(*ask("GET", "/v1/messages"))["type"], "error");
}

TEST_F(RoutesTest, KeepsResponsesForTheNextOne) {
  const auto answered = ask("POST", "/v1/responses", R"({"input": "hi"})");
  service_.tell(0, CompletionAdmitted{2});
  service_.tell(0, test::said("hello"));
  service_.tell(0, test::finished(FinishReason::kStop));
  const json first = body_of(*answered);
  const std::string id = first["id"];
  EXPECT_THAT(id, StartsWith("resp_"));
  EXPECT_EQ(first["output"][0]["content"][0]["text"], "hello");
  EXPECT_EQ(body_of(*ask("GET", "/v1/responses/" + id)), first);

  ask("POST", "/v1/responses", R"({"input": "more", "previous_response_id": ")" + id + "\"}");
  ASSERT_EQ(service_.submitted(), 2U);
  const auto prompt = std::get<Conversation>(service_.request(1).prompt);
  ASSERT_EQ(prompt.messages.size(), 3U);
  EXPECT_EQ(*prompt.messages[1].content.text(), "hello");

  EXPECT_EQ(body_of(*ask("DELETE", "/v1/responses/" + id))["deleted"], true);
  EXPECT_EQ(ask("GET", "/v1/responses/" + id)->head.status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/responses/" + id)->head.status, 404);
  const auto method = ask("PUT", "/v1/responses/" + id);
  EXPECT_EQ(method->head.status, 405);
}

TEST_F(RoutesTest, KeepsNoResponseThatIsNotToBeKept) {
  const auto answered = ask("POST", "/v1/responses", R"({"input": "hi", "store": false})");
  service_.tell(0, test::finished(FinishReason::kStop));
  const std::string id = body_of(*answered)["id"];
  EXPECT_EQ(ask("GET", "/v1/responses/" + id)->head.status, 404);
}

TEST_F(RoutesTest, AnswersOllamasRoutes) {
  EXPECT_EQ(body_of(*ask("GET", "/api/tags"))["models"][0]["name"], "taleteller");
  EXPECT_EQ(body_of(*ask("GET", "/api/ps"))["models"].size(), 1U);
  EXPECT_TRUE(body_of(*ask("GET", "/api/version")).contains("version"));
  EXPECT_TRUE(body_of(*ask("POST", "/api/show", R"({"model": "x"})")).contains("capabilities"));
  const auto streamed = ask("POST", "/api/chat", kChat);
  service_.tell(0, CompletionAdmitted{2});
  EXPECT_EQ(streamed->header("content-type"), "application/x-ndjson");
  service_.tell(0, test::said("hello"));
  service_.tell(0, test::finished(FinishReason::kStop));
  EXPECT_THAT(streamed->body, HasSubstr("hello"));
  const auto loaded = ask("POST", "/api/generate", R"({"model": "x"})");
  EXPECT_EQ(body_of(*loaded)["done_reason"], "load");
  EXPECT_EQ(service_.submitted(), 1U);
  const auto unknown = ask("POST", "/api/pull", "{}");
  EXPECT_EQ(unknown->head.status, 404);
  EXPECT_TRUE(body_of(*unknown)["error"].is_string());
}

TEST_F(RoutesTest, TellsPrometheusWhatWasCounted) {
  ask("POST", "/v1/chat/completions", kChat);
  service_.tell(0, test::finished(FinishReason::kStop));
  const auto metrics = ask("GET", "/metrics");
  EXPECT_THAT(metrics->header("content-type"), StartsWith("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics->body, HasSubstr("potluck_generation_tokens_total 3\n"));
  EXPECT_THAT(metrics->body, HasSubstr("potluck_ready 1\n"));
}

}  // namespace
}  // namespace potluck
