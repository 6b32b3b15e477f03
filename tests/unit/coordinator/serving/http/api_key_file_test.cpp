#include "coordinator/serving/http/api_key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/faulty_storage.h"

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kPath = "keys";
constexpr int64_t kNow = 1'700'000'000;

class ApiKeyFileTest : public testing::Test {
 protected:
  std::string text() {
    const auto bytes = read_file(storage_, kPath, ApiKeys::kFileBytes);
    return bytes ? std::string(as_text(*bytes)) : "";
  }
  std::string added(std::string_view name) {
    const auto key = file_.add(name, kNow, entropy_);
    return key ? *key : "error: " + key.error().message;
  }

  MemoryStorage storage_;
  SeededEntropy entropy_{1};
  ApiKeyFile file_{&storage_, kPath};
};

TEST_F(ApiKeyFileTest, AKeyMayBeForThisHouseAlone) {
  const auto key = file_.add("a child", kNow, entropy_, true);
  ASSERT_TRUE(key.ok());
  EXPECT_THAT(text(), HasSubstr("Z [local] a child\n"));
  added("ann");
  const auto keys = file_.read();
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->find({{"X-Api-Key", *key}}), "a child");
  EXPECT_TRUE(keys->list()[0].local);
  EXPECT_FALSE(keys->list()[1].local);
  EXPECT_THAT(added("[local] ann"), HasSubstr("does not begin with [local]"));
}

TEST_F(ApiKeyFileTest, MakesKeysThatLetIn) {
  EXPECT_FALSE(file_.read()->required());
  const std::string one = added("ann");
  const std::string two = added("bob's laptop");
  EXPECT_THAT(one, StartsWith("sk-potluck-"));
  EXPECT_EQ(one.size(), 11U + 64);
  EXPECT_NE(one, two);
  EXPECT_THAT(text(), Not(HasSubstr(one.substr(11))));
  const auto keys = file_.read();
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->find({{"Authorization", "Bearer " + one}}), "ann");
  EXPECT_EQ(keys->find({{"X-Api-Key", two}}), "bob's laptop");
  EXPECT_EQ(keys->list()[0].created, "2023-11-14T22:13:20Z");
}

TEST_F(ApiKeyFileTest, RemovesAKeyAndNothingElse) {
  const std::string digest = sha256(as_bytes("by hand")).hex();
  ASSERT_TRUE(storage_.write_atomic(kPath, as_bytes("# of the lab\n" + digest + " eve")).ok());
  const std::string one = added("ann");
  added("bob");
  EXPECT_EQ(*file_.remove("ann"), 2U);
  EXPECT_FALSE(file_.read()->find({{"X-Api-Key", one}}).has_value());
  EXPECT_THAT(text(), StartsWith("# of the lab\n" + digest + " eve\n"));
  EXPECT_EQ(*file_.remove("eve"), 1U);
  EXPECT_EQ(*file_.remove("bob"), 0U);
  EXPECT_EQ(text(), "# of the lab\n");
  EXPECT_TRUE(file_.read()->required());  // not open: empty
  const auto gone = file_.remove("bob");
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(gone.error().message, HasSubstr("'bob'"));
}

TEST_F(ApiKeyFileTest, RefusesNamesThatAreTakenOrNone) {
  added("ann");
  EXPECT_THAT(added("ann"), HasSubstr("already"));
  for (const std::string& bad : {std::string(), std::string(65, 'n'), std::string(" ann"),
                                 std::string("ann "), std::string("a\nb"), std::string("a\x1b[2J"),
                                 std::string("\xff"), std::string("a\0b", 3)}) {
    EXPECT_THAT(added(bad), StartsWith("error: expected a name")) << bad;
  }
  EXPECT_EQ(file_.read()->list().size(), 1U);
  for (const char* good : {"José", "a \"b\" \\c", "#1", "2026-11-29T16:00:00Z x"}) {
    EXPECT_THAT(added(good), StartsWith("sk-")) << good;
    EXPECT_EQ(file_.read()->list().back().name, good);
  }
}

TEST_F(ApiKeyFileTest, ChangesNothingWhereItCannotReadOrWrite) {
  ASSERT_TRUE(storage_.write_atomic(kPath, as_bytes("no digest\n")).ok());
  EXPECT_THAT(added("ann"), HasSubstr("line 1"));
  EXPECT_FALSE(file_.remove("ann").ok());
  EXPECT_FALSE(file_.read().ok());
  EXPECT_EQ(text(), "no digest\n");
  ASSERT_TRUE(storage_.write_atomic(kPath, as_bytes("")).ok());
  added("ann");
  const std::string before = text();
  test::FaultyStorage faulty(storage_);
  ApiKeyFile full(&faulty, kPath);
  faulty.fail_writes(kPath, 2);
  EXPECT_FALSE(full.add("bob", kNow, entropy_).ok());
  EXPECT_FALSE(full.remove("ann").ok());
  EXPECT_EQ(text(), before);
}

TEST_F(ApiKeyFileTest, OneChangeAtATime) {
  const auto lock = storage_.lock(kPath + ".lock");
  ASSERT_TRUE(lock.ok());
  const auto busy = file_.add("ann", kNow, entropy_);
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code, ErrorCode::kRefused);
}

TEST_F(ApiKeyFileTest, MakesNoMoreThanCanBeRead) {
  std::string lines;
  for (size_t i = 0; i < ApiKeys::kMost; ++i) {
    lines += sha256(as_bytes(std::to_string(i))).hex() + "\n";
  }
  ASSERT_TRUE(storage_.write_atomic(kPath, as_bytes(lines)).ok());
  EXPECT_THAT(added("ann"), HasSubstr("at most"));
  EXPECT_EQ(text(), lines);
}

}  // namespace
}  // namespace potluck
