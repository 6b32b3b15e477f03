#include "engine/experts/working_set.h"

#include <gtest/gtest.h>

#include "engine/experts/cache_policy.h"

namespace potluck {
namespace {

ManifestLayer layer_of_width(uint32_t layer, uint32_t experts, uint32_t width) {
  ExpertShape shape{256,
                    width,
                    TensorType::kQ4_K,
                    TensorType::kQ4_K,
                    TensorType::kQ6_K,
                    false,
                    ExpertActivation::kSwiGlu};
  ManifestLayer made{layer, experts, shape, {}, {}};
  uint64_t grains = uint64_t{experts} * plan_chunks(shape).grains;
  for (uint64_t i = 0; i < grains; ++i) {
    made.grains.push_back(sha256(as_bytes(std::to_string(layer) + "." + std::to_string(i))));
  }
  return made;
}

TEST(WorkingSet, CountsTheExpertsOfOneTokenInEveryLayer) {
  Manifest manifest("m", {layer_of_width(0, 8, 512), layer_of_width(2, 3, 1024)});
  auto [first, second] = std::pair(manifest.layers()[0], manifest.layers()[1]);
  uint64_t bytes = 0;
  for (const ManifestLayer* layer : {&first, &second}) {
    uint64_t experts = layer == &first ? 4 : 3;  // there are no more than 3
    for (uint16_t grain = 0; grain < layer->plan.grains; ++grain) {
      bytes += experts * manifest.grain_bytes({static_cast<uint16_t>(layer->layer), 0, grain});
    }
  }
  WorkingSet all = working_set(manifest, 4, 1, 1);
  EXPECT_EQ(all.grains, 4u * first.plan.grains + 3u * second.plan.grains);
  EXPECT_EQ(all.bytes, bytes);
  EXPECT_EQ(all.slab_bytes(manifest), all.grains * manifest.largest_grain_bytes());
  EXPECT_EQ(working_set(manifest, 100, 1, 1).bytes, manifest.total_bytes());
  EXPECT_EQ(working_set(manifest, 4, 0, 4).bytes, 0u);
}

TEST(WorkingSet, NoSlicesOfThatNumberNeedMore) {
  Manifest manifest("m", {layer_of_width(0, 8, 1024)});
  uint32_t grains = manifest.layers()[0].plan.grains;
  for (uint32_t slices = 1; slices <= grains + 2; ++slices) {
    for (uint32_t held = 1; held <= slices; ++held) {
      uint64_t most = 0;
      for (uint32_t first = 0; first + held <= slices; ++first) {
        uint64_t count = 0;
        for (uint32_t slice = first; slice < first + held; ++slice) {
          count += slice_grains(grains, slice, slices).count;
        }
        most = std::max(most, count);
      }
      EXPECT_EQ(working_set(manifest, 2, held, slices).grains, 2 * most) << held << "/" << slices;
    }
  }
}

// A cache of that size hits all that a second token uses of the same experts.
TEST(WorkingSet, IsWhatASecondTokenNeedsToHit) {
  Manifest manifest(
      "m", {layer_of_width(0, 8, 512), layer_of_width(1, 8, 512), layer_of_width(2, 8, 512)});
  WorkingSet set = working_set(manifest, 2, 1, 1);
  CachePolicy policy(set.grains);
  for (int token = 0; token < 2; ++token) {
    for (const ManifestLayer& layer : manifest.layers()) {
      policy.begin_step(layer.layer);
      for (uint32_t i = 0; i < 2 * layer.plan.grains; ++i) {
        if (policy.touch(layer.grains[i])) continue;
        ASSERT_LT(policy.size(), set.grains);
        policy.admit(layer.grains[i], false);
      }
    }
  }
  EXPECT_EQ(policy.counters().work.cache_hits, set.grains);
}

}  // namespace
}  // namespace potluck
