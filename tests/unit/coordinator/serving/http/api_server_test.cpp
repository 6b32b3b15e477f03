// The APIs over a real socket, with a scripted service.
#include "coordinator/serving/http/api_server.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/raw_client.h"
#include "tests/support/recorded_log.h"
#include "tests/support/scripted_service/scripted_answers.h"
#include "tests/support/scripted_service/scripted_service.h"

namespace potluck {
namespace {

using test::RawClient;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class ApiServerTest : public testing::Test {
 protected:
  void start(test::ScriptedService* service) {
    options_.http.port = 0;
    auto started = ApiServer::start(options_, service, storage_, &clock_, &entropy_, &log_);
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(*started);
  }
  static std::string post(const std::string& path, const std::string& body,
                          const std::string& headers = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: a\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  template <class... Arguments>
  test::ScriptedService& make_service(Arguments&&... arguments) {
    service_ = std::make_unique<test::ScriptedService>(std::forward<Arguments>(arguments)...);
    return *service_;
  }

  std::unique_ptr<test::ScriptedService> service_;  // outlives the server
  ApiServerOptions options_;
  MemoryStorage storage_;
  SystemClock clock_;
  SystemEntropy entropy_;
  test::RecordedLog log_;
  std::unique_ptr<ApiServer> server_;
};

TEST_F(ApiServerTest, StreamsAChat) {
  test::ScriptedService& service =
      make_service(test::ScriptedAnswers{}, std::chrono::milliseconds(1));
  start(&service);
  RawClient client(server_->port());
  client.send(post("/v1/chat/completions",
                   R"({"stream": true, "messages": [{"role": "user", "content": "hi"}]})"));
  EXPECT_THAT(client.receive_until("\r\n\r\n"), HasSubstr("text/event-stream"));
  const std::string body = client.receive_until("0\r\n\r\n");
  EXPECT_THAT(body, HasSubstr("\"content\": \" said:\""));
  EXPECT_THAT(body, HasSubstr("data: [DONE]\n\n"));
  client.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.receive_until("\"ok\"}"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ApiServerTest, AClientThatLeavesIsNotWorkedFor) {
  test::ScriptedService& service =
      make_service(test::ScriptedAnswers{}, std::chrono::milliseconds(1));
  start(&service);
  RawClient client(server_->port());
  client.send(post("/v1/chat/completions",
                   R"({"stream": true, "messages": [{"role": "user", "content": "forever"}]})"));
  client.receive_until(" on");
  client.close();
  EXPECT_TRUE(service.wait_cancelled(0));
}

TEST_F(ApiServerTest, ASlowReaderIsNotWorkedForEither) {
  options_.http.limits.outgoing_bytes = 64 * 1024;
  test::ScriptedService& service = make_service();
  start(&service);
  RawClient slow(server_->port(), 4096);
  slow.send(post("/v1/chat/completions",
                 R"({"stream": true, "messages": [{"role": "user", "content": "hi"}]})"));
  while (service.submitted() == 0) std::this_thread::yield();
  const CompletionEvent more = CompletionDelta{{{}, std::string(16 * 1024, 'x'), {}}, {}};
  for (int i = 0; i < 10'000 && !service.cancelled(0); ++i) service.tell(0, more);
  EXPECT_TRUE(service.wait_cancelled(0));
}

TEST_F(ApiServerTest, DrainingWaitsForWhatRuns) {
  test::ScriptedService& service = make_service();
  start(&service);
  RawClient client(server_->port());
  client.send(post("/v1/completions", R"({"prompt": "a"})", "Connection: close\r\n"));
  while (service.submitted() == 0) std::this_thread::yield();
  EXPECT_FALSE(server_->drain(std::chrono::milliseconds(20)));
  service.tell(0, CompletionFinished{});
  EXPECT_THAT(client.receive_all(), HasSubstr("text_completion"));
  client.close();
  EXPECT_TRUE(server_->drain(std::chrono::minutes(1)));
}

TEST_F(ApiServerTest, LargeRequestsAreAnsweredAsSmallOnesAre) {
  test::ScriptedService& service =
      make_service(test::ScriptedAnswers{}, std::chrono::milliseconds(1));
  start(&service);
  const std::string text(200'000, 'x');
  const auto ask = [&](const std::string& path, const std::string& body) {
    RawClient client(server_->port());
    client.send(post(path, body, "Connection: close\r\n"));
    return client.receive_all();
  };
  const std::string answer = ask("/v1/completions", R"({"prompt": ")" + text + R"("})");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("You said: " + text));
  EXPECT_THAT(ask("/tokenize", R"({"content": ")" + text + R"("})"),
              HasSubstr("\"count\": 200000"));
  EXPECT_THAT(ask("/v1/chat/completions", "[" + text), StartsWith("HTTP/1.1 400"));
}

TEST_F(ApiServerTest, MalformedHttpIsAnsweredInJson) {
  test::ScriptedService& service = make_service();
  start(&service);
  RawClient client(server_->port());
  client.send("nonsense\r\n\r\n");
  const std::string answer = client.receive_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer, HasSubstr("invalid_request_error"));
  EXPECT_THAT(answer, HasSubstr("x-request-id: req-"));
}

TEST_F(ApiServerTest, ReadsKeysAndNamesTheFlagWhenItCannot) {
  test::ScriptedService& service = make_service();
  options_.api_key_file = "keys";
  auto failed = ApiServer::start(options_, &service, storage_, &clock_, &entropy_, &log_);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("--api-key-file"));
  ASSERT_TRUE(storage_.write_atomic("keys", as_bytes(sha256(as_bytes("k")).hex())).ok());
  start(&service);
  RawClient client(server_->port());
  client.send(post("/v1/completions", R"({"prompt": "a"})", "Connection: close\r\n"));
  EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 401"));
  server_.reset();
  options_.api_key_file = "later";
  options_.api_key_file_may_be_missing = true;
  start(&service);
}

TEST_F(ApiServerTest, WarnsWhereOthersReachItWithoutAKey) {
  test::ScriptedService& service = make_service();
  start(&service);
  EXPECT_TRUE(log_.events.empty());
  server_.reset();
  options_.http.host = "0.0.0.0";
  start(&service);
  ASSERT_EQ(log_.events.size(), 1U);
  EXPECT_THAT(log_.events[0].message, HasSubstr("--api-key-file"));
}

}  // namespace
}  // namespace potluck
