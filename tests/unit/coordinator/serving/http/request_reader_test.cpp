#include "coordinator/serving/http/request_reader.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace potluck {
namespace {

constexpr uint32_t kHeadBytes = 16 * 1024;
constexpr uint64_t kBodyBytes = 1000;

// The status of a refusal, 200 for a request, 0 where more is wanted.
int outcome(std::string_view bytes) {
  RequestReader reader(kHeadBytes, kBodyBytes);
  reader.take(bytes);
  if (reader.refusal()) return reader.refusal()->status;
  return reader.done() ? 200 : 0;
}

// As a connection does.
int outcome_in_pieces(const std::vector<std::string>& pieces, uint32_t head_bytes = kHeadBytes) {
  RequestReader reader(head_bytes, kBodyBytes);
  std::string waiting;
  for (const std::string& piece : pieces) {
    if (reader.refusal() || reader.done()) break;
    waiting += piece;
    waiting.erase(0, reader.take(waiting));
  }
  if (reader.refusal()) return reader.refusal()->status;
  return reader.done() ? 200 : 0;
}

std::vector<std::string> single_bytes(std::string_view text) {
  std::vector<std::string> bytes;
  for (const char byte : text) bytes.emplace_back(1, byte);
  return bytes;
}

std::string post(std::string_view headers, std::string_view body = "") {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

TEST(RequestReader, ReadsARequest) {
  RequestReader reader(kHeadBytes, kBodyBytes);
  const std::string bytes =
      "POST /a%20b?q=1&r HTTP/1.1\r\nHost: h\r\nX-Key:  v \r\n"
      "Content-Length: 3\r\n\r\nabcGET";
  EXPECT_EQ(reader.take(bytes), bytes.size() - 3);
  ASSERT_TRUE(reader.done());
  EXPECT_TRUE(reader.keep_alive());
  EXPECT_TRUE(reader.is_http11());
  const HttpRequest request = reader.request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a b");
  EXPECT_EQ(request.query, "q=1&r");
  EXPECT_EQ(request.body, "abc");
  ASSERT_NE(find_header(request.headers, "x-key"), nullptr);
  EXPECT_EQ(*find_header(request.headers, "x-key"), "v");
}

TEST(RequestReader, TakesBytesInAnyPieces) {
  const std::string whole =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\n\r\n";
  RequestReader reader(kHeadBytes, kBodyBytes);
  std::string waiting;
  for (const char byte : whole) {
    EXPECT_FALSE(reader.done());
    waiting += byte;
    waiting.erase(0, reader.take(waiting));
    ASSERT_FALSE(reader.refusal()) << reader.refusal()->message;
  }
  ASSERT_TRUE(reader.done());
  EXPECT_EQ(reader.request().body, "abc0123456789");
}

TEST(RequestReader, KnowsHowConnectionsGoOn) {
  const auto keeps = [](std::string_view bytes) {
    RequestReader reader(kHeadBytes, kBodyBytes);
    reader.take(bytes);
    return reader.done() && reader.keep_alive();
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestReader, TakesWholeAddressesAsTargets) {
  RequestReader reader(kHeadBytes, kBodyBytes);
  reader.take("GET http://host:80/v1/models?x HTTP/1.1\r\nHost: host\r\n\r\n");
  ASSERT_TRUE(reader.done());
  EXPECT_EQ(reader.request().path, "/v1/models");
}

TEST(RequestReader, HeadIsGetWithoutABody) {
  RequestReader reader(kHeadBytes, kBodyBytes);
  reader.take("HEAD / HTTP/1.1\r\nHost: host\r\n\r\n");
  ASSERT_TRUE(reader.done());
  EXPECT_TRUE(reader.is_head());
  EXPECT_EQ(reader.request().method, "GET");
}

TEST(RequestReader, RefusesTwoReadingsOfTheLength) {
  EXPECT_EQ(outcome(post("Content-Length: 3\r\n", "abc")), 200);
  EXPECT_EQ(outcome(post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc")), 400);
  EXPECT_EQ(outcome(post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd")), 400);
  EXPECT_EQ(outcome(post("Content-Length: 3, 3\r\n", "abc")), 400);
  EXPECT_EQ(outcome(post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")), 400);
  EXPECT_EQ(outcome(post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n")), 400);
  EXPECT_EQ(outcome(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")), 501);
  EXPECT_EQ(outcome(post("Transfer-Encoding: gzip\r\n")), 501);
  EXPECT_EQ(outcome("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  for (const char* length : {"-1", "+3", "3x", "0x3", "", "99999999999999999999"}) {
    EXPECT_EQ(outcome(post("Content-Length: " + std::string(length) + "\r\n", "abc")), 400)
        << length;
  }
}

TEST(RequestReader, RefusesWhatIsTooLarge) {
  EXPECT_EQ(outcome(post("Content-Length: 1001\r\n")), 413);
  EXPECT_EQ(outcome(post("Transfer-Encoding: chunked\r\n", "3E9\r\n" + std::string(1001, 'x'))),
            413);
  EXPECT_EQ(outcome(post("A: " + std::string(17 * 1024, 'x') + "\r\n")), 431);
  EXPECT_EQ(outcome("GET /" + std::string(17 * 1024, 'x')), 431);
  EXPECT_EQ(outcome("GET /" + std::string(17 * 1024, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"), 431);
}

TEST(RequestReader, RefusesWhatIsNoRequest) {
  EXPECT_EQ(outcome("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(outcome("GET / HTTP/9.9\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\n\r\n"), 400);                        // no host
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);  // two
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n"), 400);
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
  EXPECT_EQ(outcome(std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29)), 400);
  EXPECT_EQ(outcome("G\xC3\x84T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(outcome(post("Transfer-Encoding: chunked\r\n", "xyz\r\n")), 400);
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a\r\n"), 0);
}

TEST(RequestReader, AFoldedHeaderIsOneHeader) {
  RequestReader reader(kHeadBytes, kBodyBytes);
  reader.take("GET / HTTP/1.1\r\nHost: a\r\nX-A: one\r\n two\r\n\r\n");
  ASSERT_TRUE(reader.done());
  EXPECT_EQ(*find_header(reader.request().headers, "X-A"), "one two");
}

TEST(RequestReader, PiecesMakeNoDifferenceToAHead) {
  const std::string broken = "POST /v1/.0\r\nX-A: one\r\n";  // without a version
  EXPECT_EQ(outcome(broken), 0);
  EXPECT_EQ(outcome_in_pieces({"PO", "ST", broken.substr(4)}), 0);
  EXPECT_EQ(outcome(broken + "\r\n"), 400);
  EXPECT_EQ(outcome_in_pieces({"PO", "ST", broken.substr(4), "\r\n"}), 400);
  EXPECT_EQ(outcome("GET / HT\r\n\r\n"), 400);
  EXPECT_EQ(outcome("\x16\x03\x01"), 400);
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(90, 'x') + "\r\n\r\n";
  const auto size = static_cast<uint32_t>(head.size());
  EXPECT_EQ(outcome_in_pieces({head}, size), 200);
  EXPECT_EQ(outcome_in_pieces(single_bytes(head), size), 200);
  EXPECT_EQ(outcome_in_pieces({head}, size - 1), 431);
  EXPECT_EQ(outcome_in_pieces(single_bytes(head), size - 1), 431);
}

TEST(RequestReader, AHeadThatComesFieldByFieldHasTheSameLimit) {
  std::vector<std::string> pieces{"GET / HTTP/1.1\r\nX"};
  for (int i = 0; i < 1000; ++i) pieces.push_back(": " + std::string(30, 'x') + "\r\nX");
  EXPECT_EQ(outcome_in_pieces(pieces), 431);
}

TEST(RequestReader, WhatStandsAroundChunksIsLimited) {
  const std::string head = post("Transfer-Encoding: chunked\r\n");
  const std::string much(17 * 1024, 'x');
  EXPECT_EQ(outcome(head + "1;" + much), 413);
  EXPECT_EQ(outcome(head + "1;" + much + "\r\na"), 413);
  EXPECT_EQ(outcome(head + "0\r\nA: " + much), 400);
  EXPECT_EQ(outcome(head + "0\r\nHost: b\r\n\r\n"), 400);
}

TEST(RequestReader, ChunksMayComeByteByByte) {
  const std::string head = post("Transfer-Encoding: chunked\r\n");
  for (const char* body : {"0\r\n\r\n", "00000\r\n\r\n", "0;a=b\r\n\r\n", "1\r\na\r\n0\r\n\r\n",
                           "3\r\nabc\r\n0\r\n\r\n"}) {
    EXPECT_EQ(outcome_in_pieces(single_bytes(head + body)), 200) << body;
  }
  EXPECT_EQ(outcome_in_pieces(single_bytes(head + "0\r\rab\r\n")), 400);
}

}  // namespace
}  // namespace potluck
