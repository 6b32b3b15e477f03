#include "coordinator/serving/http/api_key_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/recorded_log.h"

namespace potluck {
namespace {

using testing::HasSubstr;

const std::string kWatchedPath = "keys";

class ApiKeyWatchTest : public testing::Test {
 protected:
  void write(const std::string& text) {
    ASSERT_TRUE(storage_.write_atomic(kWatchedPath, as_bytes(text)).ok());
  }
  static std::string line_of(std::string_view key, const std::string& name) {
    return sha256(as_bytes(key)).hex() + " " + name + "\n";
  }
  Status open(bool may_be_missing) {
    auto watch = ApiKeyWatch::open(&storage_, kWatchedPath, may_be_missing, &clock_, &log_);
    if (!watch) return watch.error();
    watch_ = std::move(*watch);
    return {};
  }
  bool lets_in(const std::string& key) {
    const ApiKeys& keys = watch_->keys();
    return !keys.required() || keys.find({{"X-Api-Key", key}}).has_value();
  }
  void wait() { clock_.advance(std::chrono::seconds(1)); }
  std::string last_event() const { return log_.events.empty() ? "" : log_.events.back().message; }

  MemoryStorage storage_;
  ManualClock clock_;
  test::RecordedLog log_;
  std::unique_ptr<ApiKeyWatch> watch_;
};

TEST_F(ApiKeyWatchTest, FollowsTheFile) {
  write(line_of("one", "ann"));
  ASSERT_TRUE(open(false).ok());
  EXPECT_TRUE(lets_in("one"));
  write(line_of("one", "ann") + line_of("two", "bob"));
  EXPECT_FALSE(lets_in("two"));  // looked at once a second
  wait();
  EXPECT_TRUE(lets_in("two"));
  write(line_of("two", "bob"));
  wait();
  EXPECT_FALSE(lets_in("one"));
  EXPECT_TRUE(lets_in("two"));
  EXPECT_THAT(last_event(), HasSubstr("1 key may"));
}

TEST_F(ApiKeyWatchTest, AChangeThatLooksLikeTheOneBeforeIsSeenToo) {
  write(line_of("one", "ann"));
  ASSERT_TRUE(open(false).ok());
  wait();
  EXPECT_TRUE(lets_in("one"));
  write(line_of("two", "ann"));  // of the same length; this storage knows no times
  wait();
  EXPECT_FALSE(lets_in("one"));
  EXPECT_TRUE(lets_in("two"));
}

TEST_F(ApiKeyWatchTest, IsOpenUntilThereIsAFileAndThenNeverAgain) {
  ASSERT_TRUE(open(true).ok());
  EXPECT_TRUE(lets_in("any"));
  wait();
  EXPECT_TRUE(lets_in("any"));
  EXPECT_TRUE(log_.events.empty());
  write(line_of("one", "ann"));
  wait();
  EXPECT_FALSE(lets_in("any"));
  EXPECT_TRUE(lets_in("one"));
  ASSERT_TRUE(storage_.remove(kWatchedPath).ok());
  for (int i = 0; i < 5; ++i) {
    wait();
    EXPECT_FALSE(lets_in("any"));
    EXPECT_TRUE(lets_in("one"));
  }
  EXPECT_THAT(last_event(), HasSubstr("stay in force"));
  EXPECT_EQ(log_.events.size(), 2U);  // one for the key, one for the file that is gone
}

TEST_F(ApiKeyWatchTest, WhatCannotBeReadOpensNothing) {
  ASSERT_TRUE(open(true).ok());
  write("no digest\n");
  wait();
  EXPECT_FALSE(lets_in("any"));
  EXPECT_THAT(last_event(), HasSubstr("line 1"));
  EXPECT_THAT(last_event(), HasSubstr("refused"));
  write(line_of("one", "ann"));
  wait();
  EXPECT_TRUE(lets_in("one"));
  storage_.fail_reads(1);
  write(line_of("two", "bob") + line_of("one", "ann"));
  wait();
  EXPECT_FALSE(lets_in("two"));
  EXPECT_TRUE(lets_in("one"));
  wait();
  EXPECT_TRUE(lets_in("two"));
}

TEST_F(ApiKeyWatchTest, AListThatHasBecomeEmptyLetsNoOneIn) {
  write(line_of("one", "ann"));
  ASSERT_TRUE(open(false).ok());
  EXPECT_TRUE(lets_in("one"));
  write("");
  wait();
  EXPECT_FALSE(lets_in("one"));
  EXPECT_THAT(last_event(), HasSubstr("no key in it any more"));
}

TEST_F(ApiKeyWatchTest, StartsWithKeysOrSaysWhyNot) {
  EXPECT_FALSE(open(false).ok());
  for (const bool may_be_missing : {true, false}) {
    write("# none\n");
    const Status none = open(may_be_missing);
    ASSERT_FALSE(none.ok());
    EXPECT_THAT(none.error().message, HasSubstr("potluck keys add"));
    write("no digest\n");
    EXPECT_FALSE(open(may_be_missing).ok());
    write(line_of("one", "ann"));
    storage_.fail_reads(1);
    EXPECT_FALSE(open(may_be_missing).ok());
  }
}

}  // namespace
}  // namespace potluck
