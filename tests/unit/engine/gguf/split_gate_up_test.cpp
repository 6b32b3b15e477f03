// Gate and up in one tensor come out as two.
#include "engine/gguf/split_gate_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/gguf_builder.h"

namespace potluck {
namespace {

using test::GgufBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kGateUp = "blk.3.ffn_gate_up_exps.weight";

Result<GgufModel> open_file(const GgufBuilder& file) {
  MemoryStorage storage;
  EXPECT_TRUE(storage.write_atomic("m.gguf", file.build()).ok());
  return GgufModel::open(storage, "m.gguf");
}

std::string refusal_of(const GgufBuilder& file) {
  auto model = open_file(file);
  return model ? "opened" : model.error().message;
}

// Two experts of two rows each, of two values.
TEST(SplitGateUp, TakesGateRowsFirst) {
  GgufBuilder file;
  file.floats("before", {1}, {1});
  file.floats(kGateUp, {2, 4, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17});
  auto model = open_file(file);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->tensors().size(), 3U);
  EXPECT_EQ(model->find(kGateUp), nullptr);
  const GgufTensor* gate = model->find("blk.3.ffn_gate_exps.weight");
  const GgufTensor* up = model->find("blk.3.ffn_up_exps.weight");
  ASSERT_NE(gate, nullptr);
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(gate->shape_text(), "2 x 2 x 2");
  EXPECT_THAT(*model->read_floats(*gate), ElementsAre(0, 1, 2, 3, 10, 11, 12, 13));
  EXPECT_THAT(*model->read_floats(*up), ElementsAre(4, 5, 6, 7, 14, 15, 16, 17));
  float across[3];
  ASSERT_TRUE(model->read(*up, 3 * sizeof(float), std::as_writable_bytes(std::span(across))).ok());
  EXPECT_THAT(across, ElementsAre(7, 14, 15));
}

TEST(SplitGateUp, WhatCannotBeHalvedIsNamed) {
  GgufBuilder odd;
  odd.floats(kGateUp, {2, 3, 2}, std::vector<float>(12));
  EXPECT_THAT(refusal_of(odd), HasSubstr("an even number of rows"));
  EXPECT_THAT(refusal_of(odd), HasSubstr(kGateUp));
  GgufBuilder flat;
  flat.floats(kGateUp, {2, 4}, std::vector<float>(8));
  EXPECT_THAT(refusal_of(flat), HasSubstr("an even number of rows"));
  GgufBuilder both;
  both.floats(kGateUp, {2, 2, 1}, std::vector<float>(4));
  both.floats("blk.3.ffn_up_exps.weight", {2, 1, 1}, std::vector<float>(2));
  EXPECT_THAT(refusal_of(both), HasSubstr("expected one of them"));
  GgufBuilder crowd;
  crowd.floats(kGateUp, {1, 2, 4097}, std::vector<float>(2 * 4097));
  EXPECT_THAT(refusal_of(crowd), HasSubstr("at most 4096 experts"));
}

TEST(SplitGateUp, OtherNamesStayWhatTheyAre) {
  GgufBuilder file;
  file.floats("ffn_gate_up_exps.weight", {2, 1}, {1, 2});
  file.floats("blk.3.ffn_gate_up.weight", {2, 1}, {3, 4});
  auto model = open_file(file);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_NE(model->find("ffn_gate_up_exps.weight"), nullptr);
  EXPECT_NE(model->find("blk.3.ffn_gate_up.weight"), nullptr);
}

}  // namespace
}  // namespace potluck
