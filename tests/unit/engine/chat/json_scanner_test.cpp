#include "engine/chat/json_scanner.h"

#include <string_view>

#include <gtest/gtest.h>

namespace potluck {
namespace {

using Step = JsonScanner::Step;

struct Scanned {
  Step last = Step::kMore;
  size_t bytes = 0;  // with the last step
};

// Until the value has ended, or cannot any more.
Scanned scan(std::string_view text) {
  JsonScanner scanner;
  Scanned scanned;
  for (const char byte : text) {
    ++scanned.bytes;
    scanned.last = scanner.push(byte);
    const bool goes_on = scanned.last == Step::kMore || scanned.last == Step::kKeyEnd ||
                         scanned.last == Step::kValueBegin || scanned.last == Step::kValueEnd ||
                         scanned.last == Step::kMemberPast;
    if (!goes_on) break;
  }
  return scanned;
}

TEST(JsonScanner, FindsTheEndWhateverTheLastMemberIs) {
  for (const std::string_view value : {R"("x")", "1", "-2.5e3", "true", "null", "[1]", "{}"}) {
    for (const std::string_view space : {"", " "}) {
      std::string text = R"({"a": )" + std::string(value) + std::string(space) + "}";
      const size_t size = text.size();
      const Scanned scanned = scan(text += "}]x");
      EXPECT_TRUE(scanned.last == Step::kEnd || scanned.last == Step::kPastEnd) << text;
      EXPECT_EQ(scanned.bytes, size) << text;
    }
  }
  EXPECT_EQ(scan("12 ").last, Step::kPast);
  EXPECT_EQ(scan("[1, 2]x").bytes, 6U);
}

TEST(JsonScanner, BehindTheEndEverythingIsAnError) {
  for (const char behind : {'}', ']', ',', 'x', '"'}) {
    JsonScanner scanner;
    for (const char byte : std::string_view(R"({"a": 1})")) scanner.push(byte);
    EXPECT_EQ(scanner.push(' '), Step::kMore);
    EXPECT_EQ(scanner.push(behind), Step::kError) << behind;
  }
}

TEST(JsonScanner, WhatIsNoJsonIsAnError) {
  for (const std::string_view text : {"x", "{1", "{\"a\"]", "[}", "{\"a\": }", ",", "{\"a\" 1"}) {
    EXPECT_EQ(scan(text).last, Step::kError) << text;
  }
}

}  // namespace
}  // namespace potluck
