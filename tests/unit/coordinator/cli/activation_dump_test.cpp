#include "coordinator/cli/activation_dump.h"

#include <bit>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/json_text.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using ::testing::HasSubstr;

class ActivationDumpTest : public ::testing::Test {
 protected:
  std::unique_ptr<ActivationDump> open() {
    auto dump = ActivationDump::open(storage_, "dump");
    EXPECT_TRUE(dump);
    return std::move(*dump);
  }
  std::vector<nlohmann::json> lines() {
    auto bytes = read_file(storage_, "dump", 100 * kMiB);
    EXPECT_TRUE(bytes);
    std::vector<nlohmann::json> found;
    std::string_view text = as_text(*bytes);
    while (!text.empty()) {
      size_t end = text.find('\n');
      EXPECT_NE(end, std::string_view::npos);
      if (end == std::string_view::npos) break;
      auto line = read_json(text.substr(0, end));
      EXPECT_TRUE(line);
      if (line) found.push_back(*line);
      text.remove_prefix(end + 1);
    }
    return found;
  }

  MemoryStorage storage_;
};

TEST_F(ActivationDumpTest, WritesOneLineForEachResidual) {
  auto dump = open();
  const float residual[] = {1.5F, -2.0F, 0.5F, 4.0F};
  dump->on_residual(0, ResidualPoint::kEmbedding, 7, residual);
  dump->on_residual(3, ResidualPoint::kMixer, 8, residual);
  dump->on_residual(3, ResidualPoint::kLayer, 9, residual);
  ASSERT_TRUE(dump->finish());
  std::vector<nlohmann::json> found = lines();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]["point"], "embedding");
  EXPECT_EQ(found[1]["point"], "mixer");
  EXPECT_EQ(found[2]["point"], "layer");
  EXPECT_EQ(found[2]["layer"], 3);
  EXPECT_EQ(found[2]["position"], 9);
  EXPECT_EQ(found[2]["min"], -2.0);
  EXPECT_EQ(found[2]["max"], 4.0);
  EXPECT_EQ(found[2]["mean"], 1.0);
}

TEST_F(ActivationDumpTest, TellsTheLastBitApart) {
  auto dump = open();
  float residual[] = {1.0F, 2.0F};
  dump->on_residual(0, ResidualPoint::kLayer, 0, residual);
  dump->on_residual(0, ResidualPoint::kLayer, 1, residual);
  residual[1] = std::bit_cast<float>(std::bit_cast<uint32_t>(residual[1]) ^ 1U);
  dump->on_residual(0, ResidualPoint::kLayer, 2, residual);
  ASSERT_TRUE(dump->finish());
  std::vector<nlohmann::json> found = lines();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]["hash"], found[1]["hash"]);
  EXPECT_NE(found[0]["hash"], found[2]["hash"]);
}

TEST_F(ActivationDumpTest, ReplacesAnOlderFileAndStreamsWhatIsLong) {
  ASSERT_TRUE(storage_.write_atomic("dump", as_bytes(std::string(1 << 20, 'x'))));
  auto dump = open();
  const float residual[] = {1.0F};
  for (uint32_t i = 0; i < 5000; ++i) dump->on_residual(1, ResidualPoint::kLayer, i, residual);
  auto before = storage_.open("dump", ReadMode::kBuffered);
  ASSERT_TRUE(before);
  EXPECT_GT((*before)->size(), 0u);
  ASSERT_TRUE(dump->finish());
  EXPECT_EQ(lines().size(), 5000u);
}

TEST_F(ActivationDumpTest, SaysThatTheDiskIsFull) {
  auto dump = open();
  storage_.set_capacity(100);
  const float residual[] = {1.0F};
  for (uint32_t i = 0; i < 5000; ++i) dump->on_residual(1, ResidualPoint::kLayer, i, residual);
  Status written = dump->finish();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kLimit);
  EXPECT_THAT(written.error().message, HasSubstr("dump"));
}

}  // namespace
}  // namespace potluck
