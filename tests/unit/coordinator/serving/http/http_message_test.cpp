#include "coordinator/serving/http/http_message.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(HttpMessage, FindsHeadersInAnyCase) {
  const HttpHeaders headers{{"Content-Type", "text/plain"}, {"X-A", "1"}, {"x-a", "2"}};
  ASSERT_NE(find_header(headers, "content-TYPE"), nullptr);
  EXPECT_EQ(*find_header(headers, "x-A"), "1");
  EXPECT_EQ(find_header(headers, "x"), nullptr);
}

TEST(HttpMessage, DecodesEscapesAndLeavesTheRest) {
  EXPECT_EQ(percent_decoded("/v1/models/a%2Fb%20c"), "/v1/models/a/b c");
  EXPECT_EQ(percent_decoded("%e2%82%AC"), "\xE2\x82\xAC");
  EXPECT_EQ(percent_decoded("100%"), "100%");
  EXPECT_EQ(percent_decoded("%4"), "%4");
  EXPECT_EQ(percent_decoded("%zz%41"), "%zzA");
}

TEST(HttpMessage, WritesHeads) {
  HttpResponse response{404, {{"A", "1"}}, "four"};
  EXPECT_EQ(
      response_head(response, BodyFraming::kLength, true),
      "HTTP/1.1 404 Not Found\r\nA: 1\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(response_head({200, {}, ""}, BodyFraming::kChunked, false),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(response_head({204, {}, ""}, BodyFraming::kLength, true),
            "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpMessage, AHeaderCannotBecomeTwo) {
  const HttpResponse response{200, {{"A", "1\r\nB: 2"}, {"C\n", "3"}, {"", "4"}}, ""};
  EXPECT_EQ(response_head(response, BodyFraming::kLength, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpMessage, WritesChunks) {
  EXPECT_EQ(chunk("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
}

TEST(HttpMessage, NamesEveryStatus) {
  for (int status = 100; status < 600; ++status) EXPECT_FALSE(reason_phrase(status).empty());
}

}  // namespace
}  // namespace potluck
