// Models in several files.
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "engine/gguf/gguf.h"
#include "tests/support/gguf_builder.h"

namespace potluck {
namespace {

using test::GgufBuilder;

constexpr const char* kPaths[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                  "m-00003-of-00003.gguf"};

// What gguf-split writes into part `part` of `parts`.
GgufBuilder split_part(uint16_t part, uint16_t parts, int32_t tensors) {
  GgufBuilder builder;
  builder.value<uint16_t>("split.no", part).value<uint16_t>("split.count", parts);
  builder.value<int32_t>("split.tensors.count", tensors);
  return builder;
}

class GgufSplit : public ::testing::Test {
 protected:
  // Three valid parts with four tensors; the first has metadata, the second another alignment.
  GgufSplit() {
    parts_[0] = split_part(0, 3, 4).text("general.architecture", "test").floats("a", {1}, {1});
    parts_[1] = split_part(1, 3, 4).alignment(64).floats("b", {2}, {2, 3}).floats("c", {1}, {4});
    parts_[2] = split_part(2, 3, 4).version(2).floats("d", {1, 2}, {5, 6});
  }

  Result<GgufModel> open() {
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(storage_.write_atomic(kPaths[i], parts_[i].build()).ok());
    }
    return GgufModel::open(storage_, kPaths[0]);
  }

  void expect_error(ErrorCode code, const std::string& file, const std::string& part) {
    auto model = open();
    ASSERT_FALSE(model.ok());
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_NE(model.error().message.find(file), std::string::npos) << model.error().message;
    EXPECT_NE(model.error().message.find(part), std::string::npos) << model.error().message;
  }

  MemoryStorage storage_;
  GgufBuilder parts_[3];
};

TEST_F(GgufSplit, OpensAllPartsAsOneModel) {
  auto model = open();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->path(), kPaths[0]);
  ASSERT_EQ(model->paths().size(), 3u);
  EXPECT_EQ(model->paths()[2], kPaths[2]);
  EXPECT_EQ(model->version(), 3u);
  EXPECT_EQ(*model->metadata().text("general.architecture"), "test");
  EXPECT_EQ(*model->metadata().integer("split.no"), 0u) << "metadata are the first file's";
  EXPECT_EQ(model->file_bytes(),
            parts_[0].build().size() + parts_[1].build().size() + parts_[2].build().size());
  ASSERT_EQ(model->tensors().size(), 4u);
  EXPECT_EQ(model->find("a")->file, 0u);
  EXPECT_EQ(model->find("c")->file, 1u);
  EXPECT_EQ(model->find("d")->file, 2u);
  EXPECT_EQ(*model->read_floats(*model->find("a")), std::vector<float>{1});
  EXPECT_EQ(*model->read_floats(*model->find("b")), (std::vector<float>{2, 3}));
  EXPECT_EQ(*model->read_floats(*model->find("c")), std::vector<float>{4});
  EXPECT_EQ(*model->read_floats(*model->find("d")), (std::vector<float>{5, 6}));
}

TEST_F(GgufSplit, OpensAModelOfOnePartAndAFirstPartWithoutTensors) {
  ASSERT_TRUE(storage_.write_atomic("n-00001-of-00001.gguf", GgufBuilder().build()).ok());
  EXPECT_TRUE(GgufModel::open(storage_, "n-00001-of-00001.gguf").ok());
  for (uint16_t count : {uint16_t{0}, uint16_t{1}}) {
    GgufBuilder single;
    single.value<uint16_t>("split.count", count);
    ASSERT_TRUE(storage_.write_atomic("n.gguf", single.build()).ok());
    EXPECT_TRUE(GgufModel::open(storage_, "n.gguf").ok());
  }
  parts_[0] = split_part(0, 3, 3);
  parts_[1] = split_part(1, 3, 3).floats("b", {1}, {2}).floats("c", {1}, {4});
  parts_[2] = split_part(2, 3, 3).floats("d", {1}, {5});
  auto model = open();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->tensors().size(), 3u);
}

TEST_F(GgufSplit, NamesAMissingPart) {
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(storage_.remove(kPaths[1]).ok());
  auto model = GgufModel::open(storage_, kPaths[0]);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(model.error().message.find("part 2 of 3: m-00002-of-00003.gguf"), 0u)
      << model.error().message;
}

TEST_F(GgufSplit, WantsTheFirstPart) {
  ASSERT_TRUE(open().ok());
  auto model = GgufModel::open(storage_, kPaths[2]);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(model.error().message.find(kPaths[0]), std::string::npos) << model.error().message;
}

TEST_F(GgufSplit, RefusesImpossibleNames) {
  for (const char* path :
       {"m-00001-of-00000.gguf", "m-00001-of-01000.gguf", "m-00001-of-99999.gguf"}) {
    auto model = GgufModel::open(storage_, path);
    ASSERT_FALSE(model.ok());
    EXPECT_EQ(model.error().code, ErrorCode::kLimit) << model.error().message;
  }
}

TEST_F(GgufSplit, RefusesPartsOfAnotherModelOrInAnotherOrder) {
  parts_[1] = split_part(1, 4, 4).floats("b", {1}, {2}).floats("c", {1}, {4});
  expect_error(ErrorCode::kCorrupt, kPaths[1], "key \"split.count\": expected 3, found 4");
  parts_[1] = split_part(2, 3, 4).floats("b", {1}, {2}).floats("c", {1}, {4});
  expect_error(ErrorCode::kCorrupt, kPaths[1], "key \"split.no\": expected 1, found 2");
  parts_[1] = GgufBuilder().floats("b", {1}, {2}).floats("c", {1}, {4});
  expect_error(ErrorCode::kNotFound, kPaths[1], "key \"split.count\" is missing");
  parts_[1] = GgufBuilder().text("split.count", "3");
  expect_error(ErrorCode::kCorrupt, kPaths[1], "key \"split.count\": expected an integer");
}

TEST_F(GgufSplit, RefusesAWrongNumberOfTensors) {
  parts_[2] = split_part(2, 3, 4);
  expect_error(ErrorCode::kCorrupt, kPaths[0], "key \"split.tensors.count\": expected 3, found 4");
  parts_[0] = split_part(0, 3, -1).floats("a", {1}, {1});
  expect_error(ErrorCode::kCorrupt, kPaths[0], "key \"split.tensors.count\": expected an integer");
}

TEST_F(GgufSplit, RefusesOneNameInTwoParts) {
  parts_[2] = split_part(2, 3, 4).floats("a", {1}, {1});
  expect_error(ErrorCode::kCorrupt, kPaths[2], "tensor \"a\" appears twice");
}

TEST_F(GgufSplit, ChecksEveryPartAgainstItsOwnFile) {
  parts_[2] = split_part(2, 3, 4).tensor({"d", 0, {2}, test::Bytes(4), std::nullopt});
  expect_error(ErrorCode::kCorrupt, kPaths[2], "tensor \"d\": 8 bytes at offset 0");
}

TEST_F(GgufSplit, RefusesAPartUnderAPlainName) {
  ASSERT_TRUE(storage_.write_atomic("m.gguf", parts_[0].build()).ok());
  auto model = GgufModel::open(storage_, "m.gguf");
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("-00001-of-00003.gguf"), std::string::npos)
      << model.error().message;
}

TEST_F(GgufSplit, AWholeFileMayHaveTheNameOfAPart) {
  for (const char* path : {"w-00001-of-00003.gguf", "w-00002-of-00003.gguf",
                           "w-00001-of-00000.gguf", "w-00001-of-99999.gguf"}) {
    for (int count : {-1, 0, 1}) {
      GgufBuilder whole;
      if (count >= 0) whole.value<uint16_t>("split.count", static_cast<uint16_t>(count));
      whole.floats("a", {1}, {1});
      ASSERT_TRUE(storage_.write_atomic(path, whole.build()).ok());
      auto model = GgufModel::open(storage_, path);
      ASSERT_TRUE(model.ok()) << model.error().message;
      EXPECT_EQ(model->paths().size(), 1u);
      EXPECT_EQ(*model->read_floats(*model->find("a")), std::vector<float>{1});
    }
  }
  auto model = GgufModel::open(storage_, "w-00002-of-00003.gguf");
  ASSERT_EQ(model->notes().size(), 1u);
  EXPECT_NE(model->notes()[0].find("w-00002-of-00003.gguf has the name of a part"),
            std::string::npos)
      << model->notes()[0];
  EXPECT_TRUE(open()->notes().empty());
}

}  // namespace
}  // namespace potluck
