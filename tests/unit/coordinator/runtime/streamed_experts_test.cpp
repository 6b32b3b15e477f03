// Streaming on one machine: where experts come from, what is said before a build that cannot
// succeed, and that a second start finds what the first has built.
#include "coordinator/runtime/streamed_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "tests/support/layered_storage.h"
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
    options_.store_wanted = true;
    options_.ram_bytes = 64 * kMiB;
    options_.reader.depth = 2;
    options_.log = &log_;
  }

  uint64_t expert_bytes() const { return model_->cutter().total_bytes(); }
  Result<std::unique_ptr<StreamedExperts>> open() {
    return StreamedExperts::open(*model_, options_, threads_, storage_, clock_, {});
  }

  GrainId any_grain() const { return {static_cast<uint16_t>(model_->banks()[0].layer), 0, 0}; }

  std::unique_ptr<Storage> system_;
  std::unique_ptr<Model> model_;
  test::LayeredStorage storage_;
  MemoryStorage& disk_ = storage_.memory();
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
  auto grain = (*again)->source().get(any_grain());
  EXPECT_TRUE(grain) << grain.error().message;
}

TEST_F(StreamedExpertsTest, ReadsTheModelFileWhereNoStoreIsWanted) {
  options_.store_wanted = false;
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE((*opened)->from_store());
  EXPECT_FALSE(disk_.exists("store"));
  auto grain = (*opened)->source().get(any_grain());
  ASSERT_TRUE(grain) << grain.error().message;
  ByteVector expected(model_->cutter().grain_bytes(any_grain()));
  ASSERT_TRUE(model_->cutter().cut(any_grain(), expected));
  EXPECT_TRUE(std::ranges::equal(grain->bytes, expected));
  EXPECT_GT((*opened)->stored().statistics().work.disk_bytes, 0u);
}

TEST_F(StreamedExpertsTest, UsesACompleteStoreThatIsThere) {
  ASSERT_TRUE(open());
  options_.store_wanted = false;
  auto again = open();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE((*again)->from_store());
}

TEST_F(StreamedExpertsTest, ReadsTheModelFileWhileAnotherProcessHasTheStore) {
  auto first = open();
  ASSERT_TRUE(first);
  EXPECT_EQ(open().error().code, ErrorCode::kRefused);
  options_.store_wanted = false;
  auto second = open();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE((*second)->from_store());
}

TEST_F(StreamedExpertsTest, LeavesAStoreAloneThatIsNotComplete) {
  disk_.set_capacity(limits::kDiskReserveBytes + 2 * expert_bytes());
  ASSERT_TRUE(open());
  // The records of a layer are written last.
  auto names = disk_.list("store/layers").value();
  ASSERT_EQ(names.size(), 1u);
  const std::string records = "store/layers/" + names[0];
  ASSERT_TRUE(disk_.remove(records + "/" + disk_.list(records).value().back()));
  options_.store_wanted = false;
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE((*opened)->from_store());
}

TEST_F(StreamedExpertsTest, AsksForRoomForOneExpert) {
  options_.store_wanted = false;
  options_.ram_bytes = 1000;
  auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kLimit);
  EXPECT_THAT(opened.error().message, HasSubstr("--ram: 1000 B are not enough for one expert"));
  EXPECT_THAT(opened.error().message, HasSubstr("--store DIR"));
}

TEST_F(StreamedExpertsTest, SaysWhereExpertsComeFrom) {
  for (bool store : {false, true}) {
    options_.store_wanted = store;
    options_.reason = "too large";
    log_.events.clear();
    ASSERT_TRUE(open());
    ASSERT_FALSE(log_.events.empty());
    EXPECT_THAT(log_.events[0].message, HasSubstr("too large: its experts are streamed from " +
                                                  (store ? "store" : kModel)));
  }
}

TEST_F(StreamedExpertsTest, SaysWhatAStoreWouldTakeWhereTheDiskIsFaster) {
  options_.store_wanted = false;
  options_.reader.simulated_bytes_per_second = 1000 * kKiB;
  ASSERT_TRUE(open());
  EXPECT_TRUE(log_.events.empty());
  options_.reader.simulated_bytes_per_second = 1000 * kGiB;
  ASSERT_TRUE(open());
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_THAT(log_.events[0].message, HasSubstr("from a store they would come faster"));
  EXPECT_THAT(log_.events[0].message, HasSubstr("to build: --store store"));
}

TEST_F(StreamedExpertsTest, ReadsTheModelFileWithTheReaderThatIsAskedFor) {
  options_.store_wanted = false;
  options_.reader.choice = ReaderChoice::kThreads;
  auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->stored().reader_name(), "threads");
  options_.reader.choice = ReaderChoice::kUring;
  opened = open();
  if (opened) {
    EXPECT_EQ((*opened)->stored().reader_name(), "io_uring");
  } else {  // this system has none
    EXPECT_THAT(opened.error().message, HasSubstr("--reader"));
  }
}

}  // namespace
}  // namespace potluck
