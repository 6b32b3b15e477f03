#include "coordinator/serving/http/key_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string key_line(const std::string& key, const std::string& name) {
  return sha256(as_bytes(key)).hex() + " " + name + "\n";
}

std::string metrics_of(KeyCheck& check) {
  MetricText text;
  check.write_metrics(&text);
  return text.take();
}

TEST(KeyCheck, CountsRequestsByTheNamesOfKeys) {
  KeyCheck check(*ApiKeys::parse(key_line("one", "ann") + key_line("two", "bob")), nullptr);
  EXPECT_EQ(check.admit({{"X-Api-Key", "one"}}), "ann");
  EXPECT_EQ(check.admit({{"X-Api-Key", "one"}}), "ann");
  EXPECT_FALSE(check.admit({{"X-Api-Key", "three"}}).has_value());
  EXPECT_FALSE(check.admit({}).has_value());
  const std::string text = metrics_of(check);
  EXPECT_THAT(text, HasSubstr("\npotluck_requests_total{key=\"ann\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\npotluck_requests_total{key=\"bob\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\npotluck_requests_without_key_total 2\n"));
}

TEST(KeyCheck, KnowsWhoseRequestsStay) {
  KeyCheck check(*ApiKeys::parse(key_line("one", "[local] child") + key_line("two", "bob") +
                                 key_line("three", "[localhost] ann")),
                 nullptr);
  EXPECT_EQ(check.admit({{"X-Api-Key", "one"}}), "child");
  EXPECT_TRUE(check.stays_here("child"));
  EXPECT_FALSE(check.stays_here("bob"));
  EXPECT_FALSE(check.stays_here("[localhost] ann"));
  EXPECT_TRUE(check.stays_here("removed meanwhile"));
  EXPECT_FALSE(check.stays_here(""));  // there are no keys
}

TEST(KeyCheck, WithoutAListEveryoneMayAndNothingIsCounted) {
  KeyCheck check(ApiKeys(), nullptr);
  EXPECT_EQ(check.admit({}), "");
  EXPECT_EQ(check.admit({{"X-Api-Key", "any"}}), "");
  EXPECT_EQ(metrics_of(check), "");
}

TEST(KeyCheck, NamesAreWrittenAsPrometheusReadsThem) {
  KeyCheck check(*ApiKeys::parse(key_line("one", "a\"b\\c\x01\xff")), nullptr);
  EXPECT_THAT(metrics_of(check), HasSubstr(R"({key="a\"b\\c\\x01\\xff"} 0)"));
}

TEST(KeyCheck, CountsOfKeysThatAreGoneAreDroppedWhereThereAreManyNames) {
  MemoryStorage storage;
  ManualClock clock;
  const auto write = [&](size_t first, size_t count) {
    std::string text;
    for (size_t i = first; i < first + count; ++i) {
      text += key_line(std::to_string(i), "name-" + std::to_string(i));
    }
    ASSERT_TRUE(storage.write_atomic("keys", as_bytes(text)).ok());
    clock.advance(std::chrono::seconds(1));
  };
  write(0, 1);
  auto watch = ApiKeyWatch::open(&storage, "keys", false, &clock, nullptr);
  ASSERT_TRUE(watch.ok());
  KeyCheck check({}, std::move(*watch));
  EXPECT_EQ(check.admit({{"X-Api-Key", "0"}}), "name-0");
  write(1, 2);
  EXPECT_THAT(metrics_of(check), HasSubstr("{key=\"name-0\"} 1\n"));
  write(10, ApiKeys::kMost);
  const std::string text = metrics_of(check);
  EXPECT_THAT(text, Not(HasSubstr("{key=\"name-0\"}")));
  EXPECT_THAT(text, HasSubstr("{key=\"name-10\"} 0\n"));
}

}  // namespace
}  // namespace potluck
