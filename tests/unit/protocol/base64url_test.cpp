#include "protocol/base64url.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(Base64url, KnownVectors) {
  // RFC 4648, section 10, without padding; the last two hold the characters of the URL alphabet.
  const std::pair<std::string, std::string> kVectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"},
      {"\xff\xef", "_-8"}};
  for (const auto& [plain, text] : kVectors) {
    EXPECT_EQ(encode_base64url(as_bytes(plain)), text);
    auto decoded = decode_base64url(text);
    ASSERT_TRUE(decoded.ok()) << text;
    EXPECT_EQ(as_text(*decoded), plain);
  }
}

TEST(Base64url, EveryTwoCharacterTextIsOneByteOrRefused) {
  int accepted = 0;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      std::string text = {static_cast<char>(a), static_cast<char>(b)};
      auto decoded = decode_base64url(text);
      if (!decoded.ok()) continue;
      ++accepted;
      EXPECT_EQ(encode_base64url(*decoded), text);
    }
  }
  EXPECT_EQ(accepted, 256);
}

TEST(Base64url, ImpossibleTextsAreRefused) {
  for (const char* text : {"A", "AAAAA", "Zg==", "Zm9v\n", "Zm+v", "Zm/v", "Zh", "Zm9"}) {
    EXPECT_FALSE(decode_base64url(text).ok()) << text;
  }
}

}  // namespace
}  // namespace potluck
