#include "coordinator/serving/token_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(std::string_view json) {
  auto tokens = parse_token_list(json);
  return tokens ? "a list" : tokens.error().message;
}

TEST(TokenList, IsAnArrayOfIds) {
  EXPECT_THAT(*parse_token_list("[0]"), ElementsAre(0));
  EXPECT_THAT(*parse_token_list(" [ 1 ,\n2 ] "), ElementsAre(1, 2));
  EXPECT_THAT(*parse_token_list("[4194303]"), ElementsAre(limits::kVocabulary - 1));
}

TEST(TokenList, NamesWhatIsSomethingElse) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "not JSON from byte"},
      {"[1,", "not JSON from byte"},
      {"[1] x", "not JSON from byte"},
      {"[]", "an empty one"},
      {"{}", "found an object"},
      {"{\"a\": [1]}", "found an object"},
      {"7", "expected a JSON array of token ids, found 7"},
      {"null", "found null"},
      {"[1, -1]", "entry 1: expected a token id from 0 to 4194303, found -1"},
      {"[4194304]", "entry 0: expected a token id from 0 to 4194303, found 4194304"},
      {"[18446744073709551616]", "found 18446744073709551616"},
      {"[1.0]", "found 1.0"},
      {"[1e3]", "found 1e3"},
      {"[true]", "found true"},
      {"[null]", "found null"},
      {"[\"1\"]", "found \"1\""},
      {"[\"\\u001b[2J\"]", "found \"\\x1b[2J\""},
      {"[1, [2]]", "entry 1: expected a token id from 0 to 4194303, found an array"},
      {"[1, {\"a\": 2}]", "found an object"},
      {"\xEF\xBB\xBF[1", "not JSON"},
  };
  for (const auto& [json, message] : cases) EXPECT_THAT(error_of(json), HasSubstr(message)) << json;
  EXPECT_LT(error_of("[\"" + std::string(100000, 'x') + "\"]").size(), 200U);
}

TEST(TokenList, DeepNestingIsRefusedAtOnce) {
  constexpr size_t kBrackets = 5'000'000;
  EXPECT_THAT(error_of(std::string(kBrackets, '[')), HasSubstr("found an array"));
  EXPECT_THAT(error_of(std::string(kBrackets, '[') + std::string(kBrackets, ']')),
              HasSubstr("found an array"));
  std::string objects;
  for (size_t i = 0; i < kBrackets / 5; ++i) objects += "{\"a\":";
  EXPECT_THAT(error_of(objects), HasSubstr("found an object"));
}

TEST(TokenList, AnyBytesAreAListOrAnError) {
  CounterRandom random(7);
  const std::string_view alphabet = "[]{},:\"0123456789-+.eE nulltruefalse\\\n\xFF";
  for (uint64_t trial = 0; trial < 20000; ++trial) {
    std::string json = trial % 2 == 0 ? "[" : "";
    for (uint64_t i = 0; i < trial % 24; ++i) {
      json += alphabet[random.bits(trial * 32 + i) % alphabet.size()];
    }
    auto tokens = parse_token_list(json);
    EXPECT_TRUE(tokens ? !tokens->empty() : !tokens.error().message.empty()) << json;
  }
}

}  // namespace
}  // namespace potluck
