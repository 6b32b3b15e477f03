// Experts in tensors of their own come out as one tensor per layer and part.
#include "engine/gguf/joined_experts.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/gguf_builder.h"

namespace potluck {
namespace {

using test::GgufBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

std::string piece(const char* part, uint32_t expert) {
  return expert_tensor_name(2, part, expert);
}

Result<GgufModel> open(const std::vector<GgufBuilder>& parts) {
  MemoryStorage storage;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string path = parts.size() == 1
                                 ? std::string("m.gguf")
                                 : fmt::format("m-0000{}-of-0000{}.gguf", i + 1, parts.size());
    EXPECT_TRUE(storage.write_atomic(path, parts[i].build()).ok());
  }
  return GgufModel::open(storage, parts.size() == 1 ? "m.gguf" : "m-00001-of-00002.gguf");
}

std::string error_of(const GgufBuilder& file) {
  auto model = open({file});
  return model ? "opened" : model.error().message;
}

TEST(JoinedExperts, ComeInTheOrderOfTheirNumbers) {
  GgufBuilder file;
  file.floats("before", {1}, {1});
  for (uint32_t expert : {1U, 10U, 9U, 0U, 5U, 2U, 3U, 8U, 4U, 7U, 6U}) {
    const auto number = static_cast<float>(expert);
    file.floats(piece("gate", expert), {2, 1}, {number, -number});
  }
  file.floats("after", {1}, {2});
  auto model = open({file});
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_EQ(model->tensors().size(), 3U);
  const GgufTensor* bank = model->find("blk.2.ffn_gate_exps.weight");
  ASSERT_NE(bank, nullptr);
  EXPECT_EQ(bank->shape_text(), "2 x 1 x 11");
  EXPECT_EQ(bank->bytes, 11 * 8U);
  auto values = model->read_floats(*bank);
  ASSERT_TRUE(values.ok());
  for (uint32_t expert = 0; expert < 11; ++expert) {
    EXPECT_EQ((*values)[2 * expert], static_cast<float>(expert));
    EXPECT_EQ((*values)[2 * expert + 1], -static_cast<float>(expert));
  }
  EXPECT_EQ(model->find(piece("gate", 0)), nullptr);
  EXPECT_EQ(*model->read_floats(*model->find("after")), std::vector<float>{2});
}

TEST(JoinedExperts, AnyRangeOfBytesIsRead) {
  GgufBuilder file;
  for (uint32_t expert = 0; expert < 3; ++expert) {
    const auto first = static_cast<float>(4 * expert);
    file.floats(piece("down", expert), {2, 2}, {first, first + 1, first + 2, first + 3});
  }
  auto model = open({file});
  ASSERT_TRUE(model.ok());
  const GgufTensor& bank = *model->find("blk.2.ffn_down_exps.weight");
  auto whole = model->read_all(bank);
  ASSERT_TRUE(whole.ok());
  for (uint64_t begin = 0; begin <= bank.bytes; ++begin) {
    for (uint64_t size = 0; begin + size <= bank.bytes; ++size) {
      ByteVector part(size);
      ASSERT_TRUE(model->read(bank, begin, part).ok());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole->begin() + static_cast<long>(begin)));
    }
  }
}

TEST(JoinedExperts, LieInSeveralFiles) {
  GgufBuilder parts[2];
  for (uint16_t i = 0; i < 2; ++i) {
    parts[i].value<uint16_t>("split.no", i).value<uint16_t>("split.count", 2);
    parts[i].value<int32_t>("split.tensors.count", 4);
  }
  parts[0].floats(piece("up", 3), {1, 1}, {3}).floats(piece("up", 0), {1, 1}, {0});
  parts[1].floats(piece("up", 1), {1, 1}, {1}).floats(piece("up", 2), {1, 1}, {2});
  auto model = open({parts[0], parts[1]});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_THAT(*model->read_floats(*model->find("blk.2.ffn_up_exps.weight")),
              ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(model->fingerprint().ok());
}

TEST(JoinedExperts, TheFingerprintSeesEveryExpert) {
  const auto fingerprint = [](float last) {
    GgufBuilder file;
    file.floats(piece("up", 0), {1, 1}, {1}).floats(piece("up", 1), {1, 1}, {last});
    return *open({file})->fingerprint();
  };
  EXPECT_EQ(fingerprint(2), fingerprint(2));
  EXPECT_NE(fingerprint(2), fingerprint(3));
}

TEST(JoinedExperts, WhatDoesNotFitIsNamed) {
  GgufBuilder gap;
  gap.floats(piece("gate", 0), {1, 1}, {0}).floats(piece("gate", 2), {1, 1}, {2});
  EXPECT_THAT(error_of(gap), HasSubstr("m.gguf: tensor blk.2.ffn_gate.1.weight is missing"));
  GgufBuilder first;
  first.floats(piece("gate", 1), {1, 1}, {0});
  EXPECT_THAT(error_of(first), HasSubstr("blk.2.ffn_gate.0.weight is missing"));
  GgufBuilder far;
  far.floats(piece("gate", 4294967295U), {1, 1}, {0});
  EXPECT_THAT(error_of(far), HasSubstr("expected experts below"));
  GgufBuilder shape;
  shape.floats(piece("gate", 0), {1, 2}, {0, 1}).floats(piece("gate", 1), {2, 1}, {2, 3});
  EXPECT_THAT(error_of(shape), HasSubstr("blk.2.ffn_gate.1.weight: expected a matrix like"));
  EXPECT_THAT(error_of(shape), HasSubstr("1 x 2 in F32, found 2 x 1 in F32"));
  GgufBuilder rank;
  rank.floats(piece("gate", 0), {2}, {0, 1});
  EXPECT_THAT(error_of(rank), HasSubstr("expected a matrix"));
  GgufBuilder type;
  type.floats(piece("gate", 0), {1, 1}, {0});
  type.tensor({piece("gate", 1), 1, {1, 1}, test::Bytes(2), std::nullopt});
  EXPECT_THAT(error_of(type), HasSubstr("in F32, found 1 x 1 in F16"));
  GgufBuilder both;
  both.floats(piece("gate", 0), {1, 1}, {0}).floats("blk.2.ffn_gate_exps.weight", {1, 1, 1}, {0});
  EXPECT_THAT(error_of(both), HasSubstr("expected one of them"));
}

TEST(JoinedExperts, OtherNamesStayWhatTheyAre) {
  GgufBuilder file;
  const std::vector<std::string> names{
      "blk.2.ffn_gate.00.weight", "blk.2.ffn_gate.weight",    "blk.2.ffn_gate.0.bias",
      "blk.2.ffn_side.0.weight",  "blk.2.ffn_gate.-1.weight", "blk.2.ffn_gate.0.weight.old",
      "blk..ffn_gate.0.weight",   "blk.2.ffn_gate..weight",   "blk.02.ffn_gate.0.weight"};
  for (const std::string& name : names) file.floats(name, {1, 1}, {1});
  auto model = open({file});
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_EQ(model->tensors().size(), names.size());
  for (const std::string& name : names) EXPECT_NE(model->find(name), nullptr) << name;
}

}  // namespace
}  // namespace potluck
