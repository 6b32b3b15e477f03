// Streaming on one machine: what is said before a build that cannot succeed, and that a second
// start finds what the first has built.
#include "coordinator/runtime/streamed_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/memory_storage.h"
#include "tests/support/recorded_log.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

using ::testing::HasSubstr;

const std::string kModel = test::data_path("arch/qwen3moe/model.gguf");

class StreamedExpertsTest : public testing::Test {
 protected:
  StreamedExpertsTest() : system_(make_system_storage()) {
    auto model = Model::load(*system_, kModel, {});
    CHECK(model.ok());
    model_ = std::move(*model);
    options_.store_directory = "store";
    options_.ram_bytes = 64 * kMiB;
    options_.reader.depth = 2;
    options_.log = &log_;
  }

  uint64_t expert_bytes() const { return model_->cutter().total_bytes(); }
  Result<std::unique_ptr<StreamedExperts>> open() {
    return StreamedExperts::open(*model_, options_, threads_, disk_, clock_, {});
  }

  std::unique_ptr<Storage> system_;
  std::unique_ptr<Model> model_;
  MemoryStorage disk_;
  SystemClock clock_;
  ThreadPool threads_{2};
  StreamOptions options_;
  test::RecordedLog log_;
};

TEST_F(StreamedExpertsTest, SaysBeforeBuildingThatTheDiskIsTooSmall) {
  disk_.set_capacity(limits::kDiskReserveBytes + expert_bytes() / 2);
  auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kLimit);
  EXPECT_THAT(opened.error().message, HasSubstr("--store: store has room for"));
  EXPECT_FALSE(disk_.exists("store/layers"));
  disk_.set_capacity(limits::kDiskReserveBytes + 2 * expert_bytes());
  EXPECT_TRUE(open());
}

TEST_F(StreamedExpertsTest, RefusesABudgetThatHoldsNothing) {
  options_.ram_bytes = 1000;
  auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kLimit);
  EXPECT_THAT(opened.error().message, HasSubstr("--ram: 1000 B are not enough"));
}

TEST_F(StreamedExpertsTest, WarnsOfABudgetBelowOneToken) {
  options_.ram_bytes = 40 * kKiB;
  ASSERT_TRUE(open());
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_THAT(log_.events[0].message, HasSubstr("of experts that one token uses"));
}

TEST_F(StreamedExpertsTest, FindsWhatWasBuilt) {
  ASSERT_TRUE(open());
  // Nothing more fits: were anything written again, this would fail.
  disk_.set_capacity(0);
  auto again = open();
  ASSERT_TRUE(again) << again.error().message;
  auto grain = (*again)->source().get({static_cast<uint16_t>(model_->banks()[0].layer), 0, 0});
  EXPECT_TRUE(grain) << grain.error().message;
}

}  // namespace
}  // namespace potluck
