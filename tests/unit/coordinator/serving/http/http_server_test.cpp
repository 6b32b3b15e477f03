// Over real sockets of this machine: what clients of every kind see, and what they can make the
// server keep.
#include "coordinator/serving/http/http_server.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/raw_client.h"
#include "tests/support/recorded_log.h"

namespace potluck {
namespace {

using test::RawClient;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// Answers "/now" with what it was asked, keeps other exchanges for the test, and counts those whose
// clients have gone.
class TestHandler final : public HttpHandler {
 public:
  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    if (request.path == "/now") {
      return exchange->respond({200, {}, request.method + " " + request.body});
    }
    exchange->on_closed([this] {
      std::lock_guard guard(mutex_);
      ++closed_;
      changed_.notify_all();
    });
    std::lock_guard guard(mutex_);
    exchanges_.push_back(std::move(exchange));
    changed_.notify_all();
  }
  HttpResponse refuse(int status, const std::string& message) override {
    return {status, {{"Content-Type", "application/json"}}, "{\"error\": \"" + message + "\"}"};
  }

  std::shared_ptr<HttpExchange> wait_exchange(size_t index = 0) {
    std::unique_lock lock(mutex_);
    const bool there =
        changed_.wait_for(lock, std::chrono::minutes(1), [&] { return exchanges_.size() > index; });
    return there ? exchanges_[index] : nullptr;
  }
  bool wait_closed(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return closed_ >= count; });
  }
  size_t closed() {
    std::lock_guard guard(mutex_);
    return closed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<HttpExchange>> exchanges_;
  size_t closed_ = 0;
};

class HttpServerTest : public testing::Test {
 protected:
  void start(const HttpLimits& limits = {}) {
    auto started = HttpServer::start({"127.0.0.1", 0, {}, limits}, &handler_, nullptr);
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(*started);
  }
  uint16_t port() const { return server_->port(); }
  std::string ask(std::string_view bytes) const {
    RawClient client(port());
    client.send(bytes);
    return client.receive_all();
  }

  TestHandler handler_;
  std::unique_ptr<HttpServer> server_;
};

constexpr const char* kGet = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr const char* kLater = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(HttpServerTest, AnswersOneRequestAfterTheOtherOnOneConnection) {
  start();
  RawClient client(port());
  for (int i = 0; i < 3; ++i) {
    client.send("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    const std::string answer = client.receive_until("POST hi");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("Content-Length: 7\r\n"));
  }
}

TEST_F(HttpServerTest, AnswersRequestsThatCameAtOnceInOrder) {
  start();
  RawClient client(port());
  std::string both = "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none";
  both += "POST /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntwo";
  client.send(both);
  const std::string answers = client.receive_all();
  EXPECT_LT(answers.find("POST one"), answers.find("POST two"));
  EXPECT_THAT(answers, EndsWith("POST two"));
}

TEST_F(HttpServerTest, TakesBytesOneByOne) {
  start();
  RawClient client(port());
  const std::string request =
      "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\xE2\x82\xAC";
  for (const char byte : request) client.send({&byte, 1});
  EXPECT_THAT(client.receive_until("\xE2\x82\xAC"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, LeavesTheBodyOutForHead) {
  start();
  const std::string answer = ask("HEAD /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, AsksForABodyThatWaitsToBeAskedFor) {
  start();
  RawClient client(port());
  client.send("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_THAT(client.receive_until("POST hi"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, StreamsInChunks) {
  start();
  RawClient client(port());
  client.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  exchange->start_stream({200, {{"Content-Type", "text/event-stream"}}, ""}, "");
  EXPECT_THAT(client.receive_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
  exchange->write("data: 1\n\n");
  EXPECT_EQ(client.receive_until("\n\n\r\n"), "9\r\ndata: 1\n\n\r\n");
  exchange->end();
  EXPECT_EQ(client.receive_until("0\r\n\r\n"), "0\r\n\r\n");
  client.send(kGet);  // the connection goes on
  EXPECT_THAT(client.receive_until("GET "), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(handler_.closed(), 0U);
}

TEST_F(HttpServerTest, StreamsToOldClientsUntilItCloses) {
  start();
  RawClient client(port());
  client.send("GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  exchange->start_stream({}, "");
  exchange->write("some");
  exchange->write("thing");
  exchange->end();
  const std::string answer = client.receive_all();
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nsomething"));
}

TEST_F(HttpServerTest, SendsCommentsWhereNothingElseIsSent) {
  HttpLimits limits;
  limits.comment_time = std::chrono::milliseconds(20);
  start(limits);
  RawClient client(port());
  client.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  exchange->start_stream({}, ": wait\n\n");
  client.receive_until(": wait\n\n");
  client.receive_until(": wait\n\n");
  exchange->end();
  EXPECT_THAT(client.receive_until("0\r\n\r\n"), EndsWith("0\r\n\r\n"));
}

TEST_F(HttpServerTest, TellsWhenAClientLeaves) {
  start();
  RawClient streaming(port());
  streaming.send(kLater);
  const auto first = handler_.wait_exchange(0);
  ASSERT_NE(first, nullptr);
  first->start_stream({}, "");
  first->write("begun");
  streaming.receive_until("begun");
  streaming.close();
  EXPECT_TRUE(handler_.wait_closed(1));
  first->write("for a client that is gone");
  first->end();

  RawClient waiting(port());  // one that has no answer yet
  waiting.send(kLater);
  ASSERT_NE(handler_.wait_exchange(1), nullptr);
  waiting.close();
  EXPECT_TRUE(handler_.wait_closed(2));

  std::atomic<bool> told = false;
  first->on_closed([&] { told = true; });
  EXPECT_THAT(ask("GET /now HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(told);  // afterwards, at once
}

TEST_F(HttpServerTest, RefusesWhatIsNoHttpAndCloses) {
  start();
  const std::pair<std::string, const char*> cases[] = {
      {"nonsense\r\n\r\n", "400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
       "400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n",
       "431 Request Header Fields Too Large"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99000000\r\n\r\n", "413 Content Too Large"},
  };
  for (const auto& [bytes, status] : cases) {
    const std::string answer = ask(bytes);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::string(status)));
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json"));
    EXPECT_THAT(answer, HasSubstr("Connection: close"));
    EXPECT_THAT(answer, HasSubstr("{\"error\": "));
  }
}

TEST_F(HttpServerTest, ABodyThatIsTooLargeDoesNotLoseItsAnswer) {
  HttpLimits limits;
  limits.body_bytes = 1000;
  start(limits);
  RawClient client(port());
  client.send("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
  client.send(std::string(4'000'000, 'x'));
  EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, BoundsTheBodiesThatAreBeingReceived) {
  HttpLimits limits;
  limits.bodies_bytes = 100'000;
  start(limits);
  RawClient first(port());
  first.send("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n");
  first.send(std::string(80'000, 'x'));
  RawClient second(port());
  second.send("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n");
  second.send(std::string(80'000, 'x'));
  // Neither body is whole, so the bytes of both count. The server may read the second before the
  // first: one of both has to go, and the other one is answered once it is whole.
  RawClient& refused = RawClient::first_to_receive(first, second);
  EXPECT_THAT(refused.receive_all(), StartsWith("HTTP/1.1 503"));
  RawClient& kept = &refused == &first ? second : first;
  kept.send(std::string(10'000, 'x'));
  EXPECT_THAT(kept.receive_until("xx"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, DeadlinesEndHeadsBodiesAndIdleConnections) {
  HttpLimits limits;
  limits.head_time = limits.body_time = limits.idle_time = std::chrono::milliseconds(50);
  start(limits);
  EXPECT_THAT(ask("GET / HT"), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"),
              StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(ask(""), "");
}

TEST_F(HttpServerTest, ASlowReaderCostsMemoryUpToABoundAndThenItsConnection) {
  HttpLimits limits;
  limits.outgoing_bytes = 256 * 1024;
  limits.write_time = std::chrono::minutes(10);  // the bound alone closes it
  start(limits);
  RawClient slow(port(), 4096);
  slow.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  exchange->start_stream({}, "");
  for (int i = 0; i < 1000 && handler_.closed() == 0; ++i) {
    exchange->write(std::string(64 * 1024, 'x'));
    EXPECT_THAT(ask("GET /now HTTP/1.0\r\n\r\n"), EndsWith("GET "));  // others do not wait
  }
  EXPECT_TRUE(handler_.wait_closed(1));
}

TEST_F(HttpServerTest, AClientThatReadsGetsALargeEventToo) {
  HttpLimits limits;
  limits.outgoing_bytes = 64 * 1024;
  start(limits);
  RawClient reader(port());
  reader.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  exchange->start_stream({}, "");
  reader.receive_until("\r\n\r\n");
  exchange->write(std::string(300 * 1024, 'x') + "END");
  EXPECT_THAT(reader.receive_until("END"), EndsWith("END"));
  EXPECT_EQ(handler_.closed(), 0);
}

TEST_F(HttpServerTest, AClientThatTakesNothingIsGivenUp) {
  HttpLimits limits;
  limits.write_time = std::chrono::milliseconds(100);
  start(limits);
  RawClient stuck(port(), 4096);
  stuck.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  std::string long_answer;
  long_answer.resize(32'000'000, 'x');
  exchange->respond({200, {}, std::move(long_answer)});
  server_->drain();
  EXPECT_TRUE(server_->wait_drained(std::chrono::minutes(1)));
}

TEST_F(HttpServerTest, ManyIdleConnectionsKeepNobodyWaiting) {
  start();
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 200; ++i) {
    idle.push_back(std::make_unique<RawClient>(port()));
    if (i % 2 == 0) idle.back()->send("GET /now HT");
  }
  EXPECT_THAT(ask("GET /now HTTP/1.0\r\n\r\n"), EndsWith("GET "));
  for (size_t i = 0; i < idle.size(); ++i) {
    idle[i]->send(i % 2 == 0 ? "TP/1.1\r\nHost: a\r\n\r\n" : kGet);
    EXPECT_THAT(idle[i]->receive_until("GET "), EndsWith("GET "));
  }
}

TEST_F(HttpServerTest, WhereAllConnectionsAreTakenTheLongestIdleOneGoes) {
  HttpLimits limits;
  limits.connections = 3;
  start(limits);
  RawClient first(port());
  first.send(kGet);
  first.receive_until("GET ");
  RawClient second(port());
  second.send(kGet);
  second.receive_until("GET ");
  RawClient busy(port());
  busy.send(kLater);
  ASSERT_NE(handler_.wait_exchange(), nullptr);
  RawClient late(port());
  late.send(kGet);
  EXPECT_THAT(late.receive_until("GET "), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(first.sees_end());
  second.send(kGet);
  EXPECT_THAT(second.receive_until("GET "), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, WhereAllConnectionsAreBusyNewOnesAreTurnedAway) {
  HttpLimits limits;
  limits.connections = 1;
  start(limits);
  RawClient busy(port());
  busy.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  RawClient late(port());
  EXPECT_THAT(late.receive_all(), StartsWith("HTTP/1.1 503"));
  exchange->respond({200, {}, "done"});
  EXPECT_THAT(busy.receive_until("done"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, DrainingFinishesWhatRunsAndTakesNothingNew) {
  start();
  RawClient idle(port());
  idle.send(kGet);
  idle.receive_until("GET ");
  RawClient running(port());
  running.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  server_->drain();
  EXPECT_TRUE(idle.sees_end());
  EXPECT_FALSE(server_->wait_drained(std::chrono::milliseconds(50)));
  exchange->respond({200, {}, "done"});
  EXPECT_THAT(running.receive_all(), EndsWith("done"));
  running.close();
  EXPECT_TRUE(server_->wait_drained(std::chrono::minutes(1)));
}

TEST_F(HttpServerTest, StoppingTellsExchangesThatAreUnderWay) {
  start();
  RawClient client(port());
  client.send(kLater);
  const auto exchange = handler_.wait_exchange();
  ASSERT_NE(exchange, nullptr);
  server_.reset();
  EXPECT_EQ(handler_.closed(), 1U);
  EXPECT_TRUE(client.sees_end());
  exchange->respond({});  // goes nowhere
  exchange->write("more");
  exchange->end();
}

TEST_F(HttpServerTest, NamesAPortThatIsTaken) {
  start();
  auto second = HttpServer::start({"127.0.0.1", port(), {}, {}}, &handler_, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message,
              HasSubstr("cannot listen on 127.0.0.1 port " + std::to_string(port())));
  auto nowhere = HttpServer::start({"192.0.2.1", 0, {}, {}}, &handler_, nullptr);
  EXPECT_FALSE(nowhere.ok());
}

TEST_F(HttpServerTest, KnowsWhetherOthersReachIt) {
  start();
  EXPECT_TRUE(server_->is_loopback());
  EXPECT_EQ(server_->address(), "127.0.0.1:" + std::to_string(port()));
  auto open = HttpServer::start({"0.0.0.0", 0, {}, {}}, &handler_, nullptr);
  ASSERT_TRUE(open.ok()) << open.error().message;
  EXPECT_FALSE((*open)->is_loopback());
}

}  // namespace
}  // namespace potluck
