#include "coordinator/spread/http_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/spread/range_server.h"

namespace potluck {
namespace {

using test::RangeRequest;
using test::RangeServer;
using testing::HasSubstr;

std::string document(int status, const std::string& body, const std::string& more = "") {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), more,
                     body);
}

HttpOptions hurried() {
  HttpOptions options;
  options.first_pause = std::chrono::milliseconds(1);
  options.attempts = 3;
  return options;
}

TEST(HttpGet, TakesADocumentWhateverItsStatus) {
  RangeServer server([](const RangeRequest&) {
    return document(403, "no", "X-Error-Code: GatedRepo\r\nX-Error-Message: ask first\r\n");
  });
  const auto answer = http_get(server.url("/x?secret"), hurried(), 10);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 403);
  EXPECT_EQ(answer->body, "no");
  EXPECT_EQ(answer->error_code, "GatedRepo");
  EXPECT_EQ(answer->error_text, "ask first");
}

TEST(HttpGet, AsksABusyServerAgain) {
  std::atomic<int> requests{0};
  RangeServer server([&](const RangeRequest&) {
    return requests++ < 2 ? document(requests == 1 ? 429 : 503, "busy") : document(200, "good");
  });
  const auto answer = http_get(server.url("/x"), hurried(), 10);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "good");
}

TEST(HttpGet, GivesUpInTheEnd) {
  RangeServer server([](const RangeRequest&) { return document(429, ""); });
  const auto answer = http_get(server.url("/x?secret"), hurried(), 10);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("429"));
  EXPECT_THAT(answer.error().message, testing::Not(HasSubstr("secret")));
}

TEST(HttpGet, TakesNoMoreThanItWasToldTo) {
  RangeServer server([](const RangeRequest&) { return document(200, std::string(11, 'x')); });
  const auto answer = http_get(server.url("/x"), hurried(), 10);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kLimit);
}

TEST(HttpGet, EndsWhenItIsToldTo) {
  RangeServer server([](const RangeRequest&) { return document(200, "x"); });
  std::atomic<bool> stop{true};
  HttpOptions options = hurried();
  options.stop = &stop;
  const auto answer = http_get(server.url("/x"), options, 10);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
}

TEST(HttpGet, TakesAddressesAlone) {
  for (const char* address :
       {"file:///etc/passwd", "https://", "https://u:p@h/x", "http://h/a b"}) {
    EXPECT_FALSE(http_get(address, hurried(), 10)) << address;
  }
}

}  // namespace
}  // namespace potluck
