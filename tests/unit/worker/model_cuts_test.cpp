#include "worker/model_cuts.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/small_model_file.h"

namespace potluck::test {
namespace {

TEST(ModelCuts, HandsOutTheGrainsOfAnExpertOneAfterTheOther) {
  SmallModelFile model;
  ModelCuts cuts(model.copy.get());
  EXPECT_FALSE(cuts.in_use());
  ASSERT_TRUE(cuts.start(model.manifest).ok());
  EXPECT_FALSE(cuts.grain());
  const ManifestLayer& layer = model.manifest.layers().front();
  auto number = static_cast<uint16_t>(layer.layer);
  // Whichever of its grains is missing, an expert is cut from its first one.
  ASSERT_TRUE(cuts.cut_expert_of({number, 2, 1}).ok());
  for (uint32_t i = 0; i < layer.plan.grains; ++i) {
    std::optional<ModelCuts::Grain> grain = cuts.grain();
    ASSERT_TRUE(grain);
    GrainId id{number, 2, static_cast<uint16_t>(i)};
    EXPECT_EQ(grain->id, id);
    EXPECT_EQ(grain->digest, model.manifest.digest_of(id));
    EXPECT_EQ(sha256(grain->bytes), grain->digest);
    cuts.advance();
  }
  EXPECT_FALSE(cuts.grain());
  EXPECT_TRUE(cuts.in_use());
}

TEST(ModelCuts, WithoutAFileNothingIsInUse) {
  SmallModelFile model;
  ModelCuts cuts(nullptr);
  EXPECT_TRUE(cuts.start(model.manifest).ok());
  EXPECT_FALSE(cuts.in_use());
}

TEST(ModelCuts, AFileOfOtherShapesIsNotUsed) {
  SmallModelFile model;
  std::vector<ManifestLayer> layers(model.manifest.layers().begin(), model.manifest.layers().end());
  layers.front().shape.hidden += 32;
  ModelCuts cuts(model.copy.get());
  Status usable = cuts.start(Manifest("other", layers));
  ASSERT_FALSE(usable.ok());
  EXPECT_NE(usable.error().message.find("layer 0 has "), std::string::npos);
  EXPECT_FALSE(cuts.in_use());
}

}  // namespace
}  // namespace potluck::test
