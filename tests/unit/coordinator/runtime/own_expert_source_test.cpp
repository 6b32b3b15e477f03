#include "coordinator/runtime/own_expert_source.h"

#include <cstring>

#include <gtest/gtest.h>

#include "engine/model/model.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

class OwnExpertSourceTest : public testing::Test {
 protected:
  OwnExpertSourceTest()
      : storage_(make_system_storage()),
        model_(std::move(
            Model::load(*storage_, test::data_path("arch/qwen3moe/model.gguf"), {}).value())),
        cutter_(model_->cutter()),
        others_(cutter_, 0),
        layer_(cutter_.banks().front().layer),
        bytes_(cutter_.expert_bytes(layer_)) {}

  // Whether all grains of the expert are what the last resort has.
  void expect_same(OwnExpertSource& source, uint16_t expert) {
    GgufSource plain(cutter_, 0);
    for (uint16_t grain = 0; grain < cutter_.plan(layer_).grains; ++grain) {
      GrainId id{static_cast<uint16_t>(layer_), expert, grain};
      GrainView own = source.get(id).value();
      GrainView expected = plain.get(id).value();
      ASSERT_EQ(own.bytes.size(), expected.bytes.size());
      EXPECT_EQ(std::memcmp(own.bytes.data(), expected.bytes.data(), own.bytes.size()), 0);
    }
  }

  std::unique_ptr<Storage> storage_;
  std::unique_ptr<Model> model_;
  const GrainCutter& cutter_;
  GgufSource others_;
  uint32_t layer_;
  uint64_t bytes_;
};

TEST_F(OwnExpertSourceTest, KeepsItsOwnAndAsksForOthers) {
  OwnExpertSource source(cutter_, others_, 100 * bytes_);
  expect_same(source, 0);
  EXPECT_EQ(source.kept_bytes(), 0u) << "none is its own yet";
  std::vector<uint32_t> own(layer_ + 1, 0);
  own[layer_] = 2;
  source.set_own(own);
  for (uint16_t expert : std::vector<uint16_t>{0, 1, 2, 0}) expect_same(source, expert);
  EXPECT_EQ(source.kept_bytes(), 2 * bytes_);
  own[layer_] = 1;
  source.set_own(own);
  expect_same(source, 1);
  EXPECT_EQ(source.kept_bytes(), bytes_);
}

TEST_F(OwnExpertSourceTest, StaysWithinItsBudget) {
  OwnExpertSource source(cutter_, others_, bytes_);
  source.set_own(std::vector<uint32_t>(layer_ + 1, 3));
  for (uint16_t expert : std::vector<uint16_t>{0, 1, 2}) expect_same(source, expert);
  EXPECT_EQ(source.kept_bytes(), bytes_);
}

}  // namespace
}  // namespace potluck
