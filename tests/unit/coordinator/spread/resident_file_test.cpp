#include "coordinator/spread/resident_file.h"

#include <gtest/gtest.h>

#include "coordinator/spread/source_storage.h"
#include "engine/base/memory_storage.h"
#include "engine/model/model.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

constexpr const char* kPart = "kept/parts/model.gguf";

class ResidentFileTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = GgufModel::open(source_, path_);
    ASSERT_TRUE(opened) << opened.error().message;
    model_.emplace(std::move(*opened));
    auto config = read_config(*model_);
    ASSERT_TRUE(config);
    auto banks = find_expert_banks(*model_, *config);
    ASSERT_TRUE(banks);
    banks_ = std::move(*banks);
    ASSERT_FALSE(banks_.empty());
    ASSERT_TRUE(disk_.make_directories("kept/parts"));
    plan_ = plan_resident(*model_, banks_, source_.sizes()).front();
  }

  Status copy(Storage& storage) {
    return copy_resident(source_.file(0), plan_, storage, kPart, nullptr);
  }

  std::string path_ = test::data_path("arch/qwen3moe/model.gguf");
  std::unique_ptr<Storage> system_ = make_system_storage();
  SourceStorage source_{*system_, {}, {}};
  std::optional<GgufModel> model_;
  std::vector<ExpertBank> banks_;
  ResidentPlan plan_;
  MemoryStorage disk_;
};

TEST_F(ResidentFileTest, HasEverythingButTheExperts) {
  ASSERT_TRUE(copy(disk_));
  auto kept = open_resident(disk_, kPart);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ((*kept)->size(), source_.file(0).size());
  int absent = 0;
  for (const GgufTensor& tensor : model_->tensors()) {
    ByteVector found(tensor.bytes);
    Status read = (*kept)->read_at(tensor.offset, found);
    // A little behind the header is kept whatever it is.
    const bool kept_anyway = tensor.offset + tensor.bytes <= plan_.ranges[0].bytes;
    const bool expert = tensor.name.find("_exps") != std::string::npos && !kept_anyway;
    EXPECT_EQ(read.ok(), !expert) << tensor.name;
    absent += expert ? 1 : 0;
    if (expert) {
      EXPECT_EQ(read.error().code, ErrorCode::kNotFound);
      continue;
    }
    EXPECT_EQ(found, *model_->read_all(tensor)) << tensor.name;
  }
  EXPECT_GT(absent, 2);
  EXPECT_LT((*disk_.open(kPart, ReadMode::kBuffered))->size(), source_.file(0).size());
}

TEST_F(ResidentFileTest, AnInterruptedCopyIsNotOpened) {
  test::FaultyStorage faulty(disk_);
  faulty.fail_writes(kPart, 1, 2);
  EXPECT_FALSE(copy(faulty));
  auto kept = open_resident(disk_, kPart);
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(copy(disk_));
  EXPECT_TRUE(open_resident(disk_, kPart));
}

TEST_F(ResidentFileTest, AFinishedCopyIsNotReadAgain) {
  ASSERT_TRUE(copy(disk_));
  test::FaultyStorage no_source(*system_);
  no_source.fail_reads("", 1000);
  auto file = no_source.open(path_, ReadMode::kBuffered);
  ASSERT_TRUE(file);
  EXPECT_TRUE(copy_resident(**file, plan_, disk_, kPart, nullptr));
}

TEST_F(ResidentFileTest, OfAnotherPlanNothingIsKept) {
  ASSERT_TRUE(copy(disk_));
  plan_.ranges.resize(1);
  ASSERT_TRUE(copy(disk_));
  auto kept = open_resident(disk_, kPart);
  ASSERT_TRUE(kept);
  ByteVector byte(1);
  EXPECT_TRUE((*kept)->read_at(0, byte));
  EXPECT_FALSE((*kept)->read_at((*kept)->size() - 1, byte));
}

TEST_F(ResidentFileTest, DamageInItsTableIsFound) {
  ASSERT_TRUE(copy(disk_));
  for (uint64_t offset : {0u, 9u, 17u, 24u, 33u}) {
    disk_.flip_bit(kPart, offset);
    auto kept = open_resident(disk_, kPart);
    ASSERT_FALSE(kept) << offset;
    EXPECT_EQ(kept.error().code, ErrorCode::kCorrupt);
    disk_.flip_bit(kPart, offset);
  }
  disk_.truncate(kPart, 20);
  EXPECT_FALSE(open_resident(disk_, kPart));
}

TEST_F(ResidentFileTest, ARangeThatIsPartlyThereIsNotRead) {
  ASSERT_TRUE(copy(disk_));
  auto kept = open_resident(disk_, kPart);
  ASSERT_TRUE(kept);
  const FileRange& last = plan_.ranges.back();
  ByteVector bytes(last.bytes);
  EXPECT_TRUE((*kept)->read_at(last.offset, bytes));
  for (uint64_t offset : {last.offset + 1, UINT64_MAX - 1, UINT64_MAX}) {
    EXPECT_FALSE((*kept)->read_at(offset, bytes));
  }
}

}  // namespace
}  // namespace potluck
