#include "coordinator/spread/spread_book.h"

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;
using Kind = SpreadBook::Step::Kind;

constexpr uint32_t kExperts = 6;

Manifest small_outline() {
  ExpertShape shape;
  shape.hidden = 64;
  shape.width = 64;
  std::vector<ManifestLayer> layers;
  for (uint32_t layer : {1u, 3u}) {
    const ChunkPlan plan = plan_chunks(shape);
    layers.push_back(
        {layer, kExperts, shape, plan, std::vector<Digest>(size_t{kExperts} * plan.grains)});
  }
  return Manifest("outline", std::move(layers));
}

class SpreadBookTest : public testing::Test {
 protected:
  // A window takes two experts.
  SpreadBookTest()
      : outline_(small_outline()),
        expert_bytes_(expert_bytes(outline_.layers()[0].shape, outline_.layers()[0].plan)),
        book_(outline_, 1, 2, 2 * expert_bytes_) {}

  void join(uint8_t number) {
    cluster_.apply(WorkerJoined{peer(number), number, "w", "s", 0, 1 << 30});
  }
  void get_ready(uint8_t number, std::vector<UnitId> units) {
    auto all = cluster_.worker(peer(number))->assigned;
    all.insert(units.begin(), units.end());
    cluster_.apply(UnitsAssigned{peer(number), 1, {all.begin(), all.end()}});
    cluster_.apply(UnitsReady{peer(number), std::move(units)});
  }
  SpreadBook::Step next(Duration at, bool all_here = true) {
    return book_.next(cluster_, all_here, TimePoint(at));
  }
  void give(const std::vector<ExpertName>& experts) {
    uint16_t layer = experts.front().layer;
    book_.know(layer, experts.back().expert + 1u);
    book_.hold(experts);
  }

  Manifest outline_;
  uint64_t expert_bytes_;
  SpreadBook book_;
  ClusterState cluster_;
};

TEST_F(SpreadBookTest, ReadsAWindowAtATimeInOrder) {
  SpreadBook::Step step = next(Duration{0});
  EXPECT_EQ(step.kind, Kind::kRead);
  EXPECT_TRUE(step.fresh);
  EXPECT_EQ(step.experts, (std::vector<ExpertName>{{1, 0}, {1, 1}}));
}

TEST_F(SpreadBookTest, WaitsUntilEveryUnitOfTheWindowHasItsCopies) {
  give({{1, 0}, {1, 1}});
  join(1);
  join(2);
  EXPECT_EQ(next(Duration{0}).kind, Kind::kWait);
  get_ready(1, {{1, 0, 0}, {1, 1, 0}});
  get_ready(2, {{1, 0, 0}});
  EXPECT_EQ(next(std::chrono::hours(1)).kind, Kind::kWait) << "one copy is missing";
  EXPECT_EQ(book_.counts().scarce, 1u);
  get_ready(2, {{1, 1, 0}});
  SpreadBook::Step step = next(std::chrono::hours(2));
  EXPECT_EQ(step.kind, Kind::kRead);
  EXPECT_EQ(step.experts.front(), (ExpertName{1, 2}));
}

TEST_F(SpreadBookTest, IsCompleteWhenAllHaveTheirCopies) {
  join(1);
  join(2);
  std::vector<UnitId> units;
  for (uint16_t layer : std::vector<uint16_t>{1, 3}) {
    book_.know(layer, kExperts);
    for (uint16_t expert = 0; expert < kExperts; ++expert) units.push_back({layer, expert, 0});
  }
  get_ready(1, units);
  EXPECT_EQ(next(Duration{0}).kind, Kind::kWait);
  get_ready(2, units);
  EXPECT_EQ(next(Duration{0}).kind, Kind::kComplete);
}

TEST_F(SpreadBookTest, ReadsNothingAgainThatTwoWorkersSayTheyHave) {
  // After a restart: the window of before is known, and not in memory.
  book_.know(1, 2);
  join(1);
  join(2);
  get_ready(1, {{1, 0, 0}, {1, 1, 0}});
  get_ready(2, {{1, 0, 0}, {1, 1, 0}});
  SpreadBook::Step step = next(std::chrono::hours(1));
  EXPECT_EQ(step.kind, Kind::kRead);
  EXPECT_TRUE(step.fresh);
  EXPECT_EQ(step.experts.front(), (ExpertName{1, 2}));
}

TEST_F(SpreadBookTest, ReadsUnitsWithoutAHolderAgainWhenNothingMoves) {
  for (uint32_t layer : {1u, 3u}) book_.know(layer, kExperts);
  join(1);
  EXPECT_EQ(next(Duration{0}).kind, Kind::kWait) << "workers may be about to say what they have";
  EXPECT_EQ(book_.counts().missing, 2 * kExperts);
  EXPECT_EQ(book_.missing_names().front(), "layer 1 expert 0");
  EXPECT_EQ(next(SpreadBook::kGrace, false).kind, Kind::kWait) << "a device is away";
  SpreadBook::Step step = next(SpreadBook::kGrace);
  EXPECT_EQ(step.kind, Kind::kRead);
  EXPECT_FALSE(step.fresh);
  EXPECT_EQ(step.experts.size(), 2u) << "a window at most";
  EXPECT_EQ(next(SpreadBook::kLongGrace, false).kind, Kind::kRead) << "it may never come back";
}

TEST_F(SpreadBookTest, AnExpertLargerThanTheWindowIsReadAlone) {
  SpreadBook book(outline_, 1, 2, 1);
  EXPECT_EQ(book.next(cluster_, true, TimePoint{0}).experts.size(), 1u);
}

TEST_F(SpreadBookTest, NamesOfMissingUnitsAreBounded) {
  for (uint32_t layer : {1u, 3u}) book_.know(layer, kExperts);
  (void)next(Duration{0});
  EXPECT_LE(book_.missing_names().size(), 16u);
}

}  // namespace
}  // namespace potluck
