#include "coordinator/dispatch/pool_view.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;

class UnitMapTest : public testing::Test {
 protected:
  // 2 layers (0 and 2) of 3 experts, in 2 slices.
  UnitMapTest() : manifest_(test::sample_manifest(2, 3)), use_(manifest_) {}

  void join(uint8_t number) {
    WorkerJoined joined;
    joined.key = peer(number);
    joined.number = number;
    joined.name = "w" + std::to_string(number);
    cluster_.apply(joined);
  }
  void hold(uint8_t number, std::vector<UnitId> units) {
    cluster_.apply(UnitsAssigned{peer(number), 1, units});
    cluster_.apply(UnitsReady{peer(number), units});
  }
  UnitMap map() const { return map_units(cluster_, use_, 2); }

  Manifest manifest_;
  ExpertUse use_;
  ClusterState cluster_;
};

TEST_F(UnitMapTest, AnEmptyPoolHoldsNothing) {
  const UnitMap empty = map();
  ASSERT_EQ(empty.layers.size(), 2U);
  EXPECT_EQ(empty.layers[1].layer, 2U);
  EXPECT_EQ(empty.layers[0].cells, (std::vector<uint32_t>{0, 0, 0}));
  EXPECT_EQ(empty.layers[0].copies, (std::vector<uint32_t>{0, 0, 0}));
  EXPECT_EQ(empty.sets, (std::vector<std::vector<uint32_t>>{{}}));
}

TEST_F(UnitMapTest, TellsHoldersCopiesAndUse) {
  join(1);
  join(2);
  // Expert 0: both have all of it; expert 1: each a half; expert 2: a half is nowhere.
  hold(1, {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 2, 0}});
  hold(2, {{0, 0, 0}, {0, 0, 1}, {0, 1, 1}});
  const std::vector<uint32_t> used{1, 1, 2};
  use_.used(0, used);
  const UnitMap full = map();
  const LayerMap& layer = full.layers[0];
  EXPECT_EQ(full.sets[layer.cells[0]], (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(layer.cells[0], layer.cells[1]);
  EXPECT_EQ(full.sets[layer.cells[2]], (std::vector<uint32_t>{1}));
  EXPECT_EQ(layer.copies, (std::vector<uint32_t>{2, 1, 0}));
  EXPECT_EQ(layer.uses, (std::vector<uint32_t>{0, 2, 1}));
  EXPECT_EQ(layer.own, 0U);
}

TEST_F(UnitMapTest, TellsWhatTheCoordinatorComputesItself) {
  cluster_.apply(OwnExpertsChosen{{2, 0, 1}});
  EXPECT_EQ(map().layers[0].own, 2U);
  EXPECT_EQ(map().layers[1].own, 1U);
}

TEST_F(UnitMapTest, TheFingerprintFollowsWhatDevicesHold) {
  const uint64_t empty = map_fingerprint(cluster_);
  join(1);
  const uint64_t joined = map_fingerprint(cluster_);
  EXPECT_NE(joined, empty);
  cluster_.apply(UnitsAssigned{peer(1), 1, {{0, 0, 0}, {0, 0, 1}}});
  const uint64_t assigned = map_fingerprint(cluster_);
  EXPECT_NE(assigned, joined);
  cluster_.apply(UnitsReady{peer(1), {{0, 0, 0}}});
  EXPECT_NE(map_fingerprint(cluster_), assigned);
  cluster_.apply(WorkerLost{peer(1), "gone"});
  EXPECT_EQ(map_fingerprint(cluster_), empty);
}

}  // namespace
}  // namespace potluck
