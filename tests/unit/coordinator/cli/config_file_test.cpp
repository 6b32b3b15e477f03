#include "coordinator/cli/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

const std::string kWhole =
    "# defaults\n"
    "[run]\n"
    "threads = 4\n"
    "temp = 0.5\n"
    "quiet = true\n"
    "ram = \"4GiB\"\n"
    "template-arg = [\"a=1\", 'b=2']\n"
    "\n"
    "[join]\n"
    "disk = 1_048_576\n";

TEST(ConfigFile, SettingsComeInTheOrderOfTheirLines) {
  auto settings = parse_config("f", kWhole);
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  ASSERT_EQ(settings->size(), 8U);
  EXPECT_EQ(settings->at(0).kind, Setting::Kind::kTable);
  EXPECT_EQ(settings->at(6).table, "join");
  const Setting& threads = settings->at(1);
  EXPECT_EQ(threads.table, "run");
  EXPECT_EQ(threads.key, "threads");
  EXPECT_EQ(threads.line, 3U);
  EXPECT_EQ(threads.kind, Setting::Kind::kNumber);
  EXPECT_THAT(threads.values, testing::ElementsAre("4"));
  EXPECT_THAT(settings->at(2).values, testing::ElementsAre("0.5"));
  EXPECT_THAT(settings->at(3).values, testing::ElementsAre("true"));
  EXPECT_EQ(settings->at(3).kind, Setting::Kind::kSwitch);
  EXPECT_THAT(settings->at(4).values, testing::ElementsAre("4GiB"));
  EXPECT_THAT(settings->at(5).values, testing::ElementsAre("a=1", "b=2"));
  EXPECT_EQ(settings->at(7).table, "join");
  EXPECT_THAT(settings->at(7).values, testing::ElementsAre("1048576"));
}

TEST(ConfigFile, TablesWithoutKeysAreNamedToo) {
  auto settings = parse_config("f", "[run]\n");
  ASSERT_TRUE(settings.ok());
  ASSERT_EQ(settings->size(), 1U);
  EXPECT_EQ(settings->at(0).kind, Setting::Kind::kTable);
}

// Damaged at random: what is no setting is an error that names file and line.
TEST(ConfigFile, DamageIsAnErrorOrAnotherSetting) {
  CounterRandom random(11);
  int errors = 0;
  for (uint64_t round = 0; round < 20'000; ++round) {
    std::string text = kWhole;
    for (uint64_t i = 0; i <= random.bits(round, 0) % 3; ++i) {
      const uint64_t bits = random.bits(round, i + 1);
      constexpr std::string_view kLikely = "[]=\"'#\n\r.,-_ \x1b{}0axe+\xff";
      const size_t at = (bits >> 8) % text.size();
      const char letter = kLikely[(bits >> 40) % kLikely.size()];
      if (bits % 3 == 0) text.erase(at, 1 + (bits >> 32) % 4);
      if (bits % 3 == 1) text.insert(at, 1, letter);
      if (bits % 3 == 2) text[at] = letter;
    }
    auto settings = parse_config("f.toml", text);
    if (!settings) {
      ++errors;
      const std::string& message = settings.error().message;
      ASSERT_TRUE(message.starts_with("f.toml:") && message.size() > 10) << message;
      ASSERT_TRUE(message[7] >= '1' && message[7] <= '9') << message;
      continue;
    }
    for (const Setting& setting : *settings) {
      const bool is_head = setting.kind == Setting::Kind::kTable;
      if (setting.kind == Setting::Kind::kList) continue;
      ASSERT_EQ(setting.values.size(), is_head ? 0U : 1U);
      ASSERT_GE(setting.line, 1U);
    }
  }
  EXPECT_GT(errors, 5000);
}

}  // namespace
}  // namespace potluck
