#include "engine/experts/grain_source.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck {
namespace {

using test::ExpertFixture;
using test::FixtureLayer;

ExpertFixture make_fixture() {
  using T = TensorType;
  std::vector<FixtureLayer> layers = {
      {1, 3, {64, 320, T::kQ8_0, T::kQ4_0, T::kQ8_0, true, {}}},
      {4, 2, {32, 2048, T::kF16, T::kQ8_0, T::kQ4_0, false, {}}},
  };
  return {layers, 5};
}

// The bytes of a grain that mean something.
uint64_t used_bytes(const ExpertBank& bank, const ChunkPlan& plan, uint32_t grain) {
  return grain_layout(bank.shape, plan, grain).used_bytes;
}

// Every grain there is, and a few that are not. What a source leaves out is padding.
void expect_all_grains(const ExpertFixture& fixture, GrainSource& source) {
  for (const ExpertBank& bank : fixture.banks()) {
    for (uint16_t expert = 0; expert < bank.experts; ++expert) {
      for (uint16_t grain = 0; grain < fixture.cutter().plan(bank.layer).grains; ++grain) {
        GrainId id{static_cast<uint16_t>(bank.layer), expert, grain};
        Result<GrainView> view = source.get(id);
        ASSERT_TRUE(view) << view.error().message;
        ByteVector expected = fixture.cut(id);
        ASSERT_LE(view->bytes.size(), expected.size());
        ASSERT_GE(view->bytes.size(), used_bytes(bank, fixture.cutter().plan(bank.layer), grain));
        ASSERT_TRUE(std::equal(view->bytes.begin(), view->bytes.end(), expected.begin()));
        std::span<const std::byte> rest = std::span(expected).subspan(view->bytes.size());
        ASSERT_TRUE(std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; }));
      }
    }
  }
  auto layer = static_cast<uint16_t>(fixture.banks()[0].layer);
  auto grains = static_cast<uint16_t>(fixture.cutter().plan(layer).grains);
  for (GrainId id : {GrainId{0, 0, 0}, GrainId{9, 0, 0}, GrainId{layer, 3, 0},
                     GrainId{layer, 0, grains}, GrainId{UINT16_MAX, UINT16_MAX, UINT16_MAX}}) {
    Result<GrainView> view = source.get(id);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::kNotFound);
  }
}

TEST(ResidentSource, HoldsEveryGrain) {
  ExpertFixture fixture = make_fixture();
  uint64_t last = 0;
  auto source =
      ResidentSource::load(fixture.cutter(), [&](uint64_t done, uint64_t) { last = done; });
  ASSERT_TRUE(source) << source.error().message;
  uint64_t cut = 0;
  uint64_t used = 0;
  for (const ExpertBank& bank : fixture.banks()) {
    const ChunkPlan& plan = fixture.cutter().plan(bank.layer);
    cut += bank.experts * fixture.cutter().expert_bytes(bank.layer);
    for (uint32_t grain = 0; grain < plan.grains; ++grain) {
      used += bank.experts * used_bytes(bank, plan, grain);
    }
  }
  EXPECT_EQ((*source)->bytes(), used);
  EXPECT_LT(used, cut);
  EXPECT_EQ(last, cut);
  expect_all_grains(fixture, **source);
}

TEST(GgufSource, LaysOutOnDemandWithinAnyBudget) {
  ExpertFixture fixture = make_fixture();
  for (uint64_t budget : {uint64_t{0}, fixture.cutter().expert_bytes(1) * 2, uint64_t{1 * kGiB}}) {
    GgufSource source(fixture.cutter(), budget);
    expect_all_grains(fixture, source);
  }
}

TEST(GgufSource, ViewsStayWhileOthersComeAndGo) {
  ExpertFixture fixture = make_fixture();
  uint64_t expert = fixture.cutter().expert_bytes(1);
  GgufSource source(fixture.cutter(), 2 * expert);
  GrainView held = source.get({1, 0, 0}).value();
  for (uint16_t round = 0; round < 10; ++round) {
    uint16_t other = 1 + round % 2;
    ASSERT_TRUE(source.get({1, other, 0}));
  }
  ByteVector expected = fixture.cut({1, 0, 0});
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), held.bytes.begin()));
}

TEST(GgufSource, SaysWhenViewsTakeTheWholeBudget) {
  ExpertFixture fixture = make_fixture();
  GgufSource source(fixture.cutter(), 0);
  GrainView held = source.get({1, 0, 0}).value();
  ASSERT_TRUE(source.get({1, 0, 1}));  // of the same expert
  Result<GrainView> other = source.get({1, 1, 0});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kLimit);
  held = {};
  EXPECT_TRUE(source.get({1, 1, 0}));
}

}  // namespace
}  // namespace potluck
