#include "protocol/peer_text.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(PeerText, PrintableTextStaysAsItIs) {
  for (const char* text : {"", "a", "Gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac \xf0\x9f\x8d\xb2",
                           "\xc2\xa0", "\xed\x9f\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(clean_text(text, 100), text);
  }
}

TEST(PeerText, EverythingElseBecomesQuestionMarks) {
  const std::pair<std::string, std::string> kCases[] = {
      {std::string("\0\t\n\x1f\x7f", 5), "?????"},
      {"\xc2\x80\xc2\x9f", "????"},  // C1 controls
      {"\xe2\x80\xae", "???"},       // writes from right to left
      {"\x80\xbf", "??"},            // continuations alone
      {"\xc3", "?"},                 // cut
      {"\xe2\x82", "??"},
      {"\xf0\x9f\x8d", "???"},
      {"\xc0\xaf\xc1\xbf", "????"},  // overlong
      {"\xe0\x9f\xbf", "???"},
      {"\xf0\x8f\xbf\xbf", "????"},
      {"\xed\xa0\x80", "???"},       // surrogate
      {"\xf4\x90\x80\x80", "????"},  // beyond Unicode
      {"\xf5\xff", "??"},
      {"a\xc3"
       "b",
       "a?b"}};
  for (const auto& [text, expected] : kCases) EXPECT_EQ(clean_text(text, 100), expected);
}

TEST(PeerText, CutsAtTheBorderOfACharacter) {
  const std::string text =
      "a\xf0\x9f\x8d\xb2"
      "b";
  const char* kExpected[] = {"",
                             "a",
                             "a",
                             "a",
                             "a",
                             "a\xf0\x9f\x8d\xb2",
                             ("a\xf0\x9f\x8d\xb2"
                              "b")};
  for (size_t limit = 0; limit < std::size(kExpected); ++limit) {
    EXPECT_EQ(clean_text(text, limit), kExpected[limit]);
  }
}

TEST(PeerText, EndpointsSayWhatIsWrong) {
  EXPECT_TRUE(check_endpoint("tcp://10.0.0.1:7100").ok());
  EXPECT_TRUE(check_endpoint("tcp://[::1]:1").ok());
  Status status = check_endpoint("http://\x1b[31m:80");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("tcp://HOST:PORT"), std::string::npos);
  EXPECT_NE(status.error().message.find("http://?[31m:80"), std::string::npos);
}

TEST(PeerText, HostsAreNamesOrAddresses) {
  for (const char* host : {"a", "a-b.c", "10.0.0.1", "[::1]", "[fe80::1%eth0]"}) {
    EXPECT_TRUE(is_endpoint_host(host)) << host;
  }
  for (const std::string& host :
       {std::string(), std::string("*"), std::string("a b"), std::string("[::1"),
        std::string("::1"), std::string("a/b"), std::string("[a/b]"), std::string(254, 'a')}) {
    EXPECT_FALSE(is_endpoint_host(host)) << host;
  }
}

}  // namespace
}  // namespace potluck
