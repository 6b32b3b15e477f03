#include "coordinator/spread/http_reply.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(HttpReplyTest, ReadsARange) {
  auto range = parse_content_range(" bytes 5-9/100\r\n");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5u);
  EXPECT_EQ(range->last, 9u);
  EXPECT_EQ(range->total, 100u);
}

TEST(HttpReplyTest, RefusesRangesThatContradictThemselves) {
  for (const char* text :
       {"", "bytes", "bytes ", "bytes 5-9", "bytes 9-5/100", "bytes 0-100/100", "bytes 0-9/*",
        "bytes */100", "items 0-9/100", "bytes -1-9/100", "bytes 0-9/100x", "bytes 0/9-100",
        "bytes 0-99999999999999999999999/100", "bytes 0-9/", "bytes 0x0-9/100"}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

TEST(HttpReplyTest, OnlyTheLastAnswerCounts) {
  HttpReply reply;
  for (const char* line : {"HTTP/1.1 302 Found\r\n", "ETag: \"old\"\r\n", "\r\n", "HTTP/2 206 \r\n",
                           "etag: \"new\"\r\n", "CONTENT-RANGE: bytes 0-0/7\r\n"}) {
    EXPECT_TRUE(reply.add_line(line));
  }
  EXPECT_EQ(reply.status(), 206);
  EXPECT_EQ(reply.tag(), "ETag \"new\"");
  ASSERT_TRUE(reply.range());
  EXPECT_EQ(reply.range()->total, 7u);
}

TEST(HttpReplyTest, AWeakTagSaysNothing) {
  HttpReply reply;
  reply.add_line("HTTP/1.1 206 OK");
  reply.add_line("ETag: W/\"x\"");
  EXPECT_EQ(reply.tag(), "");
  reply.add_line("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(reply.tag(), "Last-Modified Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(HttpReplyTest, RetryAfterIsSecondsOrADate) {
  HttpReply reply;
  reply.add_line("HTTP/1.1 429 Slow down");
  EXPECT_FALSE(reply.retry_after(0));
  reply.add_line("Retry-After: 7");
  EXPECT_EQ(reply.retry_after(0), 7u);
  reply.add_line("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(reply.retry_after(784111767), 10u);
  EXPECT_EQ(reply.retry_after(984111767), 0u);
  reply.add_line("Retry-After: soon");
  EXPECT_FALSE(reply.retry_after(0));
}

TEST(HttpReplyTest, OnlyTheHostThatWasAskedSaysWhatTheContentIsCalled) {
  HttpReply reply;
  reply.add_line("HTTP/1.1 302 Found");
  reply.add_line("X-Linked-ETag: \"abc\"");
  reply.add_line("X-Error-Code: Nonsense");
  reply.add_line("HTTP/1.1 206 OK");
  reply.add_line("X-Linked-ETag: \"evil\"");
  EXPECT_EQ(reply.linked_tag(), "abc");
  EXPECT_EQ(reply.error_code(), "");
  HttpReply other;
  other.add_line("HTTP/1.1 302 Found");
  other.add_line("HTTP/1.1 206 OK");
  other.add_line("x-linked-etag: evil");
  EXPECT_EQ(other.linked_tag(), "");
}

TEST(HttpReplyTest, HeadersAreBounded) {
  HttpReply reply;
  const std::string line(1024, 'x');
  size_t lines = 0;
  while (reply.add_line(line)) ASSERT_LT(++lines, 1000u);
  EXPECT_EQ(lines, HttpReply::kMostHeaderBytes / line.size());
}

}  // namespace
}  // namespace potluck
