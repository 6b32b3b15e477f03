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
  EXPECT_FALSE(ApiKeys::parse("").ok());
  EXPECT_FALSE(ApiKeys::parse("# none\n").ok());
}

}  // namespace
}  // namespace potluck
