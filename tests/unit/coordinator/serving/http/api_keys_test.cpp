#include "coordinator/serving/http/api_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace potluck {
namespace {

using testing::HasSubstr;

std::string digest_of(std::string_view key) {
  return sha256(as_bytes(key)).hex();
}

TEST(ApiKeys, KnowsKeysByTheirDigests) {
  const auto keys =
      ApiKeys::parse("# who may\n\n" + digest_of("one") + " ann's laptop \r\n" + digest_of("two"));
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  EXPECT_EQ(keys->find({{"Authorization", "Bearer one"}}), "ann's laptop");
  EXPECT_EQ(keys->find({{"authorization", "bearer  one "}}), "ann's laptop");
  EXPECT_EQ(keys->find({{"X-Api-Key", "two"}}), digest_of("two").substr(0, 8));
  EXPECT_FALSE(keys->find({}).has_value());
  EXPECT_FALSE(keys->find({{"Authorization", "Bearer three"}}).has_value());
  EXPECT_FALSE(keys->find({{"Authorization", "Basic one"}}).has_value());
  EXPECT_FALSE(keys->find({{"Authorization", "Bearer"}}).has_value());
  EXPECT_FALSE(keys->find({{"Authorization", "Bearer " + digest_of("one")}}).has_value());
  EXPECT_FALSE(keys->find({{"X-Api-Key", std::string(100'000, 'x')}}).has_value());
}

TEST(ApiKeys, NamesTheLineThatIsNoDigest) {
  for (const std::string& bad : {std::string("secret"), digest_of("one") + "x",
                                 digest_of("one").substr(1), "z" + digest_of("one").substr(1)}) {
    const auto keys = ApiKeys::parse("#\n" + bad + "\n");
    ASSERT_FALSE(keys.ok()) << bad;
    EXPECT_THAT(keys.error().message, HasSubstr("line 2"));
    EXPECT_THAT(keys.error().message, testing::Not(HasSubstr(bad)));  // it may be a key itself
  }
}

TEST(ApiKeys, AListWithoutKeysLetsNoOneIn) {
  EXPECT_FALSE(ApiKeys().required());
  for (const char* text : {"", "# none\n"}) {
    const auto keys = ApiKeys::parse(text);
    ASSERT_TRUE(keys.ok());
    EXPECT_TRUE(keys->required());
    EXPECT_FALSE(keys->find({{"Authorization", "Bearer one"}}).has_value());
  }
}

TEST(ApiKeys, LinesMayHaveTheTimeAtWhichTheirKeysWereMade) {
  const std::string digest = digest_of("one");
  const auto keys = ApiKeys::parse(digest + " 2026-11-29T16:00:00Z ann's laptop\n" + digest +
                                   "\t2026-11-29T16:00:00Z\n" + digest + " 2026-11-29 x\n");
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  ASSERT_EQ(keys->list().size(), 3U);
  EXPECT_EQ(keys->list()[0].created, "2026-11-29T16:00:00Z");
  EXPECT_EQ(keys->list()[0].name, "ann's laptop");
  EXPECT_EQ(keys->list()[1].name, digest.substr(0, 8));
  EXPECT_EQ(keys->list()[2].created, "");
  EXPECT_EQ(keys->list()[2].name, "2026-11-29 x");
  const auto line = read_key_line(write_key_line(keys->list()[0]));
  ASSERT_TRUE(line.ok() && line->has_value());
  EXPECT_EQ((*line)->digest, keys->list()[0].digest);
  EXPECT_EQ((*line)->name, "ann's laptop");
}

TEST(ApiKeys, ListsAndNamesAreBounded) {
  std::string text;
  for (size_t i = 0; i < ApiKeys::kMost; ++i) text += digest_of(std::to_string(i)) + "\n";
  EXPECT_TRUE(ApiKeys::parse(text).ok());
  const auto more = ApiKeys::parse(text + digest_of("one more"));
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("at most 1024 keys"));
  EXPECT_FALSE(ApiKeys::parse(digest_of("one") + " " + std::string(129, 'n')).ok());
}

}  // namespace
}  // namespace potluck
