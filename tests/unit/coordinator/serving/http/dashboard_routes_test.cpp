// The pages and /api/pool through the routes, without sockets.
#include <array>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/routes.h"
#include "tests/support/recorded_exchange.h"
#include "tests/support/scripted_service/scripted_service.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using test::RecordedExchange;
using testing::HasSubstr;

constexpr std::array<WebFile, 1> kOnePage{{{"index.html", "<p>pool</p>"}}};
const HttpHeaders kHere{{"Host", "localhost:8080"}};

// Answered by the thread that asks the pool.
struct AwaitedExchange final : HttpExchange {
  void respond(HttpResponse response) override { answer.set_value(std::move(response)); }
  void start_stream(HttpResponse, std::string) override {}
  void write(std::string) override {}
  void end() override {}
  void on_closed(std::function<void()>) override {}
  void run_soon(std::function<void()>) override {}

  std::promise<HttpResponse> answer;
};

class DashboardRoutesTest : public testing::Test {
 protected:
  DashboardRoutesTest() { options_.pages = kOnePage; }

  ApiRoutes& routes() {
    if (!routes_) routes_.emplace(&service_, std::move(options_), &clock_, &entropy_);
    return *routes_;
  }
  DashboardRoutes& dashboard() { return routes().dashboard(); }
  void open() { dashboard().open_to_this_machine(); }
  void want_key() {
    auto keys = ApiKeys::parse(sha256(as_bytes(std::string_view("secret"))).hex() + " ann\n");
    ASSERT_TRUE(keys);
    options_.keys = *std::move(keys);
  }

  std::shared_ptr<RecordedExchange> ask(const std::string& method, const std::string& path,
                                        HttpHeaders headers = kHere, const std::string& body = "") {
    auto exchange = std::make_shared<RecordedExchange>();
    routes().handle({method, path, "", std::move(headers), body}, exchange);
    return exchange;
  }
  int status(const std::string& path, HttpHeaders headers = kHere) {
    return ask("GET", path, std::move(headers))->head.status;
  }
  HttpResponse post(const std::string& verb, const std::string& body, HttpHeaders headers = kHere) {
    headers.emplace_back("Content-Type", "application/json");
    auto exchange = std::make_shared<AwaitedExchange>();
    auto answer = exchange->answer.get_future();
    routes().handle({"POST", "/api/pool/" + verb, "", std::move(headers), body}, exchange);
    EXPECT_EQ(answer.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    return answer.get();
  }

  test::ScriptedService service_;
  ManualClock clock_;
  SeededEntropy entropy_{1};
  ApiOptions options_;
  std::optional<ApiRoutes> routes_;
};

TEST_F(DashboardRoutesTest, PagesAreShownToAnyone) {
  want_key();
  const auto page = ask("GET", "/", {{"Host", "anything"}});
  EXPECT_EQ(page->head.status, 200);
  EXPECT_EQ(page->body, "<p>pool</p>");
  EXPECT_THAT(page->header("content-security-policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(ask("POST", "/")->head.status, 405);
}

TEST_F(DashboardRoutesTest, WithoutPagesThereIsNothing) {
  options_.pages = {};
  open();
  for (const char* path : {"/", "/chat", "/api/pool", "/api/pool/events", "/api/pool/map"}) {
    EXPECT_EQ(status(path), 404) << path;
  }
}

TEST_F(DashboardRoutesTest, TellsThePoolToThisMachine) {
  open();
  EXPECT_THAT(ask("GET", "/api/pool")->body, HasSubstr(R"("pool": null)"));
  dashboard().publish({R"({"workers":[]})", R"({"layers":[1]})"});
  const auto pool = ask("GET", "/api/pool");
  const auto state = nlohmann::json::parse(pool->body);
  EXPECT_EQ(state["pool"]["workers"].size(), 0U);
  EXPECT_EQ(state["service"]["state"], "ready");
  EXPECT_EQ(state["service"]["model"]["id"], "taleteller");
  EXPECT_EQ(pool->header("cache-control"), "no-store");
  EXPECT_EQ(ask("GET", "/api/pool/map")->body, R"({"layers":[1]})");
  EXPECT_EQ(status("/api/pool/nothing"), 404);
}

// No key and others can reach the port.
TEST_F(DashboardRoutesTest, IsClosedWhereOthersReachThePort) {
  EXPECT_EQ(status("/api/pool"), 403);
  EXPECT_EQ(status("/api/pool/events"), 403);
  EXPECT_EQ(status("/api/pool/map"), 403);
  EXPECT_THAT(ask("GET", "/api/pool")->body, HasSubstr("potluck keys add"));
}

TEST_F(DashboardRoutesTest, NeedsTheKeyWhereThereAreKeys) {
  want_key();
  open();
  EXPECT_EQ(status("/api/pool"), 401);
  EXPECT_EQ(status("/api/pool", {{"Host", "pool.local"}, {"Authorization", "Bearer wrong"}}), 401);
  EXPECT_EQ(status("/api/pool", {{"Host", "pool.local"}, {"Authorization", "Bearer secret"}}), 200);
}

TEST_F(DashboardRoutesTest, RefusesForeignNamesAndPages) {
  open();
  EXPECT_EQ(status("/api/pool", {{"Host", "rebound.example.org"}}), 403);
  HttpHeaders foreign = kHere;
  foreign.emplace_back("Origin", "http://localhost:3000");
  EXPECT_EQ(status("/api/pool", foreign), 403);
  // Such a page may use the model, but is told nothing of the pool.
  EXPECT_EQ(ask("GET", "/api/pool", foreign)->header("access-control-allow-origin"), "");
  EXPECT_EQ(ask("OPTIONS", "/api/pool/admit", foreign)->header("access-control-allow-origin"), "");
  bool asked = false;
  dashboard().open_pool([&](const std::string&) {
    asked = true;
    return std::string("{}");
  });
  EXPECT_EQ(post("admit", R"({"code": "1234-5678"})", foreign).status, 403);
  EXPECT_FALSE(asked);
}

TEST_F(DashboardRoutesTest, PassesOnWhatMayBeAskedAndNothingElse) {
  open();
  EXPECT_EQ(post("admit", "{}").status, 503);  // no pool yet
  std::string question;
  std::string answer = R"({"admitted":{"name":"attic"}})";
  dashboard().open_pool([&](const std::string& text) {
    question = text;
    return answer;
  });
  const HttpResponse admitted =
      post("admit", R"({"code": "1234-5678", "verb": "revoke", "other": 1})");
  EXPECT_EQ(admitted.status, 200);
  EXPECT_EQ(admitted.body, answer);
  EXPECT_EQ(nlohmann::json::parse(question),
            (nlohmann::json{{"verb", "admit"}, {"code", "1234-5678"}}));
  answer = R"({"error":"no device that waits shows the code 1","not_found":true})";
  const HttpResponse missing = post("refuse", R"({"code": "1"})");
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.body, HasSubstr("no device that waits"));
  answer = R"({"error":"two devices are called so"})";
  EXPECT_EQ(post("rename", R"({"device": "a", "name": "b"})").status, 400);
  EXPECT_EQ(post("revoke", "[]").status, 400);
  EXPECT_EQ(post("revoke", R"({"device": 3})").status, 400);
  EXPECT_EQ(post("invite", std::string(5000, ' ') + "{}").status, 413);
  answer = "no JSON";
  EXPECT_EQ(post("invite", "").status, 500);
  EXPECT_EQ(status("/api/pool/admit"), 405);
  EXPECT_EQ(ask("POST", "/api/pool")->head.status, 405);
  // What the form of another site can send.
  EXPECT_EQ(ask("POST", "/api/pool/invite", {{"Host", "localhost"}, {"Content-Type", "text/plain"}})
                ->head.status,
            400);
}

TEST_F(DashboardRoutesTest, AStreamTellsEveryReport) {
  open();
  dashboard().publish({R"({"n":1})", ""});
  EXPECT_FALSE(dashboard().watched());
  const auto stream = ask("GET", "/api/pool/events");
  EXPECT_TRUE(stream->streaming);
  EXPECT_EQ(stream->header("content-type"), "text/event-stream");
  EXPECT_EQ(stream->idle_comment, ": keep-alive\n\n");
  EXPECT_TRUE(dashboard().watched());
  dashboard().publish({R"({"n":2})", ""});
  const auto events = test::stream_events(stream->body);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0]["pool"]["n"], 1);
  EXPECT_EQ(events[1]["pool"]["n"], 2);
  stream->closed();
  EXPECT_FALSE(dashboard().watched());
}

TEST_F(DashboardRoutesTest, SoManyMayWatchAndNoMore) {
  open();
  std::vector<std::shared_ptr<RecordedExchange>> streams;
  for (size_t i = 0; i < PoolBoard::kMostWatchers; ++i) {
    streams.push_back(ask("GET", "/api/pool/events"));
    EXPECT_TRUE(streams.back()->streaming);
  }
  EXPECT_EQ(status("/api/pool/events"), 503);
  streams.front()->closed();
  EXPECT_TRUE(ask("GET", "/api/pool/events")->streaming);
}

TEST_F(DashboardRoutesTest, StreamsEndWhenTheServerStops) {
  open();
  const auto stream = ask("GET", "/api/pool/events");
  dashboard().close();
  EXPECT_TRUE(stream->ended);
  const auto late = ask("GET", "/api/pool/events");
  EXPECT_TRUE(late->ended);
  EXPECT_FALSE(dashboard().watched());
}

}  // namespace
}  // namespace potluck
