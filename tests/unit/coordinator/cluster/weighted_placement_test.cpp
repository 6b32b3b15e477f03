// Placement by what workers can do, and replicas.
#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "coordinator/cluster/placement.h"
#include "coordinator/plan/planner.h"
#include "engine/base/random.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;
using test::sample_manifest;
using Units = std::map<PeerKey, std::vector<UnitId>>;

std::vector<PlacementWorker> weighted(const std::vector<uint32_t>& weights) {
  std::vector<PlacementWorker> workers;
  for (size_t i = 0; i < weights.size(); ++i) {
    PlacementWorker worker;
    worker.key = peer(static_cast<uint8_t>(i + 1));
    worker.disk_bytes = 1000 * kGiB;
    worker.weight = weights[i];
    workers.push_back(worker);
  }
  return workers;
}

size_t count_in(const std::vector<UnitId>& units, uint32_t layer) {
  return static_cast<size_t>(
      std::count_if(units.begin(), units.end(), [&](UnitId unit) { return unit.layer == layer; }));
}

TEST(WeightedPlacement, UnitsFollowTheWeightsInEveryLayer) {
  Manifest manifest = sample_manifest(4, 60);
  std::vector<uint32_t> weights = {125, 250, 500, 1000};
  for (uint32_t slices : {1u, 4u, 8u}) {
    Units placement = place_units(manifest, slices, weighted(weights));
    for (const ManifestLayer& layer : manifest.layers()) {
      double units = 60.0 * std::min(slices, layer.plan.grains);
      for (size_t i = 0; i < weights.size(); ++i) {
        double part = units * weights[i] / 1875;
        auto found = static_cast<double>(
            count_in(placement.at(peer(static_cast<uint8_t>(i + 1))), layer.layer));
        EXPECT_NEAR(found, part, 1.01) << "layer " << layer.layer << ", worker " << i;
      }
    }
  }
}

// A layer has fewer units than a light worker's turn takes: over all layers it gets its part.
TEST(WeightedPlacement, ALightWorkerGetsItsPartOverAllLayers) {
  Manifest manifest = sample_manifest(40, 8);
  Units placement = place_units(manifest, 1, weighted({1000, 1000, 1000, 30}));
  double part = 320.0 * 30 / 3030;
  EXPECT_NEAR(static_cast<double>(placement.at(peer(4)).size()), part, 1.5);
}

TEST(WeightedPlacement, LikeWeightsAreAsNoWeights) {
  for (uint32_t slices : {1u, 3u}) {
    Manifest manifest = sample_manifest(3, 13);
    Units before = place_units(manifest, slices, weighted({1, 1, 1}));
    EXPECT_EQ(place_units(manifest, slices, weighted({1000, 1000, 1000})), before);
    EXPECT_EQ(place_units(manifest, slices, weighted({7, 7, 7})), before);
  }
}

TEST(WeightedPlacement, NothingForThoseLeftOut) {
  Manifest manifest = sample_manifest(3, 10);
  Units placement = place_units(manifest, 2, weighted({1000, 0, 1000}));
  EXPECT_TRUE(placement.at(peer(2)).empty());
  EXPECT_EQ(placement.at(peer(1)).size() + placement.at(peer(3)).size(), 60u);
  Units nobody = place_units(manifest, 2, weighted({0, 0}));
  EXPECT_TRUE(nobody.at(peer(1)).empty());
}

// No worker has more slices of one expert than its weight asks for.
TEST(WeightedPlacement, SlicesGoApartAsFarAsWeightsAllow) {
  Manifest manifest = sample_manifest(2, 40);
  Units placement = place_units(manifest, 4, weighted({500, 500, 500, 500, 1000, 1000}));
  for (const auto& [key, units] : placement) {
    std::map<std::pair<uint16_t, uint16_t>, int> siblings;
    for (UnitId unit : units) ++siblings[{unit.layer, unit.expert}];
    for (const auto& [expert, count] : siblings) EXPECT_LE(count, 1);
  }
  placement = place_units(manifest, 4, weighted({1000, 100}));
  std::map<std::pair<uint16_t, uint16_t>, int> siblings;
  for (UnitId unit : placement.at(peer(2))) ++siblings[{unit.layer, unit.expert}];
  for (const auto& [expert, count] : siblings) EXPECT_LE(count, 2);
}

TEST(WeightedPlacement, WhereNothingChangesNothingMoves) {
  Manifest manifest = sample_manifest(5, 23);
  for (uint32_t slices : {1u, 2u, 4u}) {
    std::vector<PlacementWorker> workers = weighted({300, 1000, 450, 800});
    Units placement = place_units(manifest, slices, workers);
    for (PlacementWorker& worker : workers) worker.holding = placement.at(worker.key);
    EXPECT_EQ(place_units(manifest, slices, workers), placement);
  }
}

TEST(WeightedPlacement, WhoHasACopyTakesOver) {
  Manifest manifest = sample_manifest(3, 12);
  std::vector<PlacementWorker> workers = weighted({1, 1, 1});
  Units placement = place_units(manifest, 1, workers);
  for (PlacementWorker& worker : workers) worker.holding = placement.at(worker.key);
  // The first one goes; the third has copies of all that it had.
  workers[2].copies = placement.at(peer(1));
  workers.erase(workers.begin());
  Units next = place_units(manifest, 1, workers);
  size_t from_copies = 0;
  for (UnitId unit : next.at(peer(3))) {
    from_copies +=
        std::binary_search(placement.at(peer(1)).begin(), placement.at(peer(1)).end(), unit) ? 1
                                                                                             : 0;
  }
  EXPECT_GE(from_copies, 6u) << "half of what the first one had";
}

ExpertOrder by_number(uint32_t experts) {
  return [experts](uint32_t) {
    std::vector<uint32_t> order(experts);
    for (uint32_t i = 0; i < experts; ++i) order[i] = i;
    return order;
  };
}

TEST(Replicas, EveryUnitIsHeldTwiceByDifferentWorkers) {
  Manifest manifest = sample_manifest(3, 12);
  std::vector<PlacementWorker> workers = weighted({1, 1, 1, 1});
  Units placement = place_units(manifest, 2, workers);
  Units replicas = place_replicas(manifest, 2, workers, placement, 2, by_number(12));
  std::map<UnitId, std::set<PeerKey>> holders;
  for (const Units* units : {&placement, &replicas}) {
    for (const auto& [key, list] : *units) {
      for (UnitId unit : list) EXPECT_TRUE(holders[unit].insert(key).second);
    }
  }
  EXPECT_EQ(holders.size(), 72u);
  for (const auto& [unit, keys] : holders) EXPECT_EQ(keys.size(), 2u);
  for (const auto& [key, list] : replicas) EXPECT_EQ(list.size(), 18u);
}

TEST(Replicas, TheHottestComeFirstWhereRoomIsShort) {
  Manifest manifest = sample_manifest(3, 12);
  std::vector<PlacementWorker> workers = weighted({1, 1});
  uint64_t unit = unit_bytes(manifest, {0, 0, 0}, 1);
  for (PlacementWorker& worker : workers) worker.disk_bytes = 18 * unit + 3 * unit;
  Units placement = place_units(manifest, 1, workers);
  auto order = [](uint32_t) { return std::vector<uint32_t>{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}; };
  Units replicas = place_replicas(manifest, 1, workers, placement, 2, order);
  size_t found = 0;
  for (const auto& [key, list] : replicas) {
    EXPECT_LE(list.size(), 3u);
    for (UnitId replica : list) {
      ++found;
      EXPECT_GE(replica.expert, 8u);
    }
  }
  EXPECT_EQ(found, 6u);
}

TEST(Replicas, OneWorkerHasNobodyToShareWith) {
  Manifest manifest = sample_manifest(2, 4);
  std::vector<PlacementWorker> workers = weighted({1});
  Units placement = place_units(manifest, 1, workers);
  EXPECT_TRUE(place_replicas(manifest, 1, workers, placement, 3, by_number(4)).at(peer(1)).empty());
}

// Tokens in a pool of disks of 1, 2, 4 and 8 units of speed, with shares by the plan: a layer takes
// as long as its slowest worker. The sum of the disks is what there is to gain.
constexpr uint32_t kDiskSlices = 8;
constexpr uint32_t kDiskExperts = 64;
constexpr uint32_t kDiskUsed = 8;

std::vector<uint32_t> planned_weights(const Manifest& manifest, const std::vector<double>& speeds) {
  PlanPool pool;
  for (double speed : speeds) {
    DeviceFacts facts;
    facts.disk_bytes = 1000 * kGiB;
    facts.disk_rate = speed * 1e5;
    facts.products = {{TensorType::kF32, uint64_t{1} << 42, uint64_t{1} << 42}};
    facts.round_trip = 1e-6;
    facts.link_rate = 1e12;
    pool.devices.push_back(facts);
  }
  CostOptions options{kDiskSlices, 0};
  SharePlan plan = plan_shares(plan_model(manifest, kDiskUsed), with_assumptions(pool), options);
  double largest = *std::max_element(plan.shares.begin(), plan.shares.end());
  std::vector<uint32_t> weights;
  for (double share : plan.shares) {
    weights.push_back(static_cast<uint32_t>(std::lround(kFullWeight * share / largest)));
  }
  return weights;
}

// Units per time of the slowest worker, over some tokens.
double rate_of(const Manifest& manifest, const Units& placement,
               const std::vector<double>& speeds) {
  std::map<UnitId, size_t> owner;
  for (size_t i = 0; i < speeds.size(); ++i) {
    for (UnitId unit : placement.at(peer(static_cast<uint8_t>(i + 1)))) owner[unit] = i;
  }
  CounterRandom random(3);
  uint64_t drawn = 0;
  double took = 0;
  double units = 0;
  for (int token = 0; token < 100; ++token) {
    for (const ManifestLayer& layer : manifest.layers()) {
      std::set<uint16_t> used;
      while (used.size() < kDiskUsed) {
        used.insert(static_cast<uint16_t>(random.bits(drawn++) % kDiskExperts));
      }
      std::vector<double> load(speeds.size(), 0);
      for (uint16_t expert : used) {
        for (uint16_t slice = 0; slice < kDiskSlices; ++slice) {
          ++load[owner.at({static_cast<uint16_t>(layer.layer), expert, slice})];
        }
      }
      double slowest = 0;
      for (size_t i = 0; i < load.size(); ++i) slowest = std::max(slowest, load[i] / speeds[i]);
      took += slowest;
      units += kDiskUsed * kDiskSlices;
    }
  }
  return units / took;
}

TEST(WeightedPlacement, UnequalDisksAddUp) {
  Manifest manifest = sample_manifest(6, kDiskExperts);
  std::vector<double> speeds = {1, 2, 4, 8};
  std::vector<uint32_t> weights = planned_weights(manifest, speeds);
  Units placement = place_units(manifest, kDiskSlices, weighted(weights));
  double rate = rate_of(manifest, placement, speeds);
  EXPECT_GE(rate, 0.85 * 15) << weights[0] << " " << weights[1] << " " << weights[2];
  // Equal parts would have the slowest disk decide.
  Units equal = place_units(manifest, kDiskSlices, weighted({1, 1, 1, 1}));
  EXPECT_GT(rate, 2.5 * rate_of(manifest, equal, speeds));
}

}  // namespace
}  // namespace potluck
