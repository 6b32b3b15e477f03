#include "coordinator/cluster/placement.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;
using test::sample_manifest;

constexpr uint64_t kPlenty = 1000 * kGiB;

std::vector<PlacementWorker> empty_workers(uint8_t count, uint64_t disk_bytes = kPlenty) {
  std::vector<PlacementWorker> workers;
  for (uint8_t i = 1; i <= count; ++i) workers.push_back({peer(i), disk_bytes, {}});
  return workers;
}

size_t units_in(const Manifest& manifest, uint32_t slices) {
  size_t units = 0;
  for (const ManifestLayer& layer : manifest.layers()) {
    units += layer.experts * std::min(slices, layer.plan.grains);
  }
  return units;
}

size_t total(const Placement& placement) {
  size_t units = 0;
  for (const auto& [key, list] : placement) units += list.size();
  return units;
}

// Every unit at most once, each list sorted and of units that exist.
void expect_sound(const Manifest& manifest, uint32_t slices, const Placement& placement) {
  std::set<UnitId> seen;
  for (const auto& [key, units] : placement) {
    EXPECT_TRUE(std::is_sorted(units.begin(), units.end()));
    for (UnitId unit : units) {
      ASSERT_NE(manifest.layer(unit.layer), nullptr);
      EXPECT_LT(unit.expert, manifest.layer(unit.layer)->experts);
      EXPECT_LT(unit.slice, slices);
      EXPECT_GT(unit_bytes(manifest, unit, slices), 0u);
      EXPECT_TRUE(seen.insert(unit).second) << unit.layer << "/" << unit.expert;
    }
  }
}

void expect_balanced(const Manifest& manifest, const Placement& placement) {
  for (const ManifestLayer& layer : manifest.layers()) {
    size_t fewest = SIZE_MAX;
    size_t most = 0;
    for (const auto& [key, units] : placement) {
      size_t count = static_cast<size_t>(std::count_if(
          units.begin(), units.end(), [&](UnitId unit) { return unit.layer == layer.layer; }));
      fewest = std::min(fewest, count);
      most = std::max(most, count);
    }
    EXPECT_LE(most - fewest, 1u) << "layer " << layer.layer;
  }
}

// No worker has more slices of an expert than it must.
void expect_spread(const Manifest& manifest, uint32_t slices, const Placement& placement) {
  auto workers = static_cast<uint32_t>(placement.size());
  for (const auto& [key, units] : placement) {
    std::map<std::pair<uint16_t, uint16_t>, uint32_t> siblings;
    for (UnitId unit : units) ++siblings[{unit.layer, unit.expert}];
    for (const auto& [expert, count] : siblings) {
      uint32_t used = std::min(slices, manifest.layer(expert.first)->plan.grains);
      EXPECT_LE(count, (used + workers - 1) / workers)
          << "layer " << expert.first << ", expert " << expert.second;
    }
  }
}

std::vector<PlacementWorker> holding(const Placement& placement, uint64_t disk_bytes = kPlenty) {
  std::vector<PlacementWorker> workers;
  for (const auto& [key, units] : placement) workers.push_back({key, disk_bytes, units});
  return workers;
}

size_t moved(const Placement& before, const Placement& after) {
  size_t count = 0;
  for (const auto& [key, units] : after) {
    auto old = before.find(key);
    for (UnitId unit : units) {
      bool kept =
          old != before.end() && std::binary_search(old->second.begin(), old->second.end(), unit);
      if (!kept) ++count;
    }
  }
  return count;
}

TEST(Placement, NobodyGetsNothing) {
  EXPECT_TRUE(place_units(sample_manifest(2, 4), 1, {}).empty());
}

TEST(Placement, OneWorkerGetsEverything) {
  Manifest manifest = sample_manifest(3, 5);
  Placement placement = place_units(manifest, 2, empty_workers(1));
  expect_sound(manifest, 2, placement);
  EXPECT_EQ(total(placement), 3u * 5 * 2);
}

TEST(Placement, IsBalancedAndSpreadFromTheStart) {
  for (uint32_t experts : {1u, 7u, 8u, 60u}) {
    for (uint32_t slices : {1u, 2u, 3u, 4u, 8u}) {
      for (int workers : {1, 2, 3, 4, 5, 7, 16}) {
        SCOPED_TRACE(testing::Message()
                     << experts << " experts, " << slices << " slices, " << workers << " workers");
        Manifest manifest = sample_manifest(3, experts);
        Placement placement =
            place_units(manifest, slices, empty_workers(static_cast<uint8_t>(workers)));
        expect_sound(manifest, slices, placement);
        EXPECT_EQ(total(placement), units_in(manifest, slices));
        expect_balanced(manifest, placement);
        expect_spread(manifest, slices, placement);
      }
    }
  }
}

// The odd units of many layers do not all go to the same worker.
TEST(Placement, IsBalancedOverAllLayersToo) {
  Manifest manifest = sample_manifest(10, 7);
  Placement placement = place_units(manifest, 1, empty_workers(4));
  for (const auto& [key, units] : placement) {
    EXPECT_GE(units.size(), 17u);
    EXPECT_LE(units.size(), 18u);
  }
}

TEST(Placement, LeavesOutEmptySlices) {
  Manifest manifest = sample_manifest(1, 2, 64, 64);  // two grains to an expert
  ASSERT_EQ(manifest.layers()[0].plan.grains, 2u);
  Placement placement = place_units(manifest, 5, empty_workers(2));
  expect_sound(manifest, 5, placement);
  EXPECT_EQ(total(placement), 4u);
}

TEST(Placement, DependsOnWhoIsThereNotOnTheOrder) {
  Manifest manifest = sample_manifest(4, 9);
  std::vector<PlacementWorker> workers = empty_workers(5);
  Placement placement = place_units(manifest, 4, workers);
  std::reverse(workers.begin(), workers.end());
  std::swap(workers[1], workers[3]);
  EXPECT_EQ(place_units(manifest, 4, workers), placement);
}

TEST(Placement, IsAtRestOnceItIsReached) {
  for (uint64_t disk : {kPlenty, uint64_t{400} * 1000}) {
    Manifest manifest = sample_manifest(4, 9);
    Placement placement = place_units(manifest, 4, empty_workers(5, disk));
    EXPECT_EQ(place_units(manifest, 4, holding(placement, disk)), placement);
  }
}

TEST(Placement, IgnoresHoldingsThatDoNotExist) {
  Manifest manifest = sample_manifest(2, 4);
  std::vector<PlacementWorker> workers = empty_workers(2);
  workers[0].holding = {{0, 9, 0}, {1, 0, 0}, {0, 0, 7}, {900, 1, 1}, {0, 1, 0}, {0, 1, 0}};
  workers[1].holding = {{0, 1, 0}};
  Placement placement = place_units(manifest, 1, workers);
  expect_sound(manifest, 1, placement);
  EXPECT_EQ(total(placement), 8u);
  expect_balanced(manifest, placement);
}

TEST(Placement, UnitBytesAddUpToTheModel) {
  Manifest manifest = sample_manifest(3, 4, 64, 288);  // nine grains
  ASSERT_EQ(manifest.layers()[0].plan.grains, 9u);
  for (uint32_t slices : {1u, 2u, 4u, 9u, 12u}) {
    uint64_t bytes = 0;
    for (const ManifestLayer& layer : manifest.layers()) {
      for (uint16_t expert = 0; expert < layer.experts; ++expert) {
        for (uint32_t slice = 0; slice < slices; ++slice) {
          UnitId unit{static_cast<uint16_t>(layer.layer), expert, static_cast<uint16_t>(slice)};
          bytes += unit_bytes(manifest, unit, slices);
        }
      }
    }
    EXPECT_EQ(bytes, manifest.total_bytes());
  }
}

uint64_t bytes_of(const Manifest& manifest, const std::vector<UnitId>& units, uint32_t slices) {
  uint64_t bytes = 0;
  for (UnitId unit : units) bytes += unit_bytes(manifest, unit, slices);
  return bytes;
}

TEST(Placement, KeepsWithinTheDisks) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CounterRandom random(seed);
    Manifest manifest = sample_manifest(3, 12, 64, 288);
    auto slices = static_cast<uint32_t>(1 + random.bits(0) % 4);
    std::vector<PlacementWorker> workers = empty_workers(static_cast<uint8_t>(2 + seed % 5));
    uint64_t room = 0;
    for (size_t i = 0; i < workers.size(); ++i) {
      workers[i].disk_bytes = random.bits(1, i) % manifest.total_bytes();
      room += workers[i].disk_bytes;
    }
    Placement placement = place_units(manifest, slices, workers);
    expect_sound(manifest, slices, placement);
    uint64_t placed = 0;
    for (const PlacementWorker& worker : workers) {
      uint64_t used = bytes_of(manifest, placement.at(worker.key), slices);
      EXPECT_LE(used, worker.disk_bytes);
      placed += used;
    }
    // Rounding leaves less than a unit of every worker and layer unused.
    uint64_t unit = unit_bytes(manifest, {0, 0, 0}, slices) + 64 * kKiB;
    uint64_t possible = std::min(room, manifest.total_bytes());
    EXPECT_GE(placed + workers.size() * 3 * unit, possible);
  }
}

TEST(Placement, AFullDiskTakesItsShareOfEveryLayer) {
  Manifest manifest = sample_manifest(4, 16);
  std::vector<PlacementWorker> workers = empty_workers(2);
  workers[0].disk_bytes = manifest.total_bytes() / 4;
  Placement placement = place_units(manifest, 1, workers);
  EXPECT_EQ(total(placement), 64u);
  for (int layer : {0, 2, 4, 6}) {
    const std::vector<UnitId>& units = placement.at(peer(1));
    EXPECT_EQ(
        std::count_if(units.begin(), units.end(), [&](UnitId unit) { return unit.layer == layer; }),
        4);
  }
}

TEST(Placement, ADiskThatHoldsExactlyTheModelIsEnough) {
  for (uint32_t slices : {1u, 2u, 4u}) {
    Manifest manifest = sample_manifest(7, 11, 64, 288);
    Placement placement = place_units(manifest, slices, empty_workers(1, manifest.total_bytes()));
    EXPECT_EQ(total(placement), units_in(manifest, slices));
  }
}

// Joins and leaves in random order: always sound, balanced and spread, and what moves is what has
// to move. With several slices, keeping them apart may cost a few moves more.
TEST(Placement, MovesLittleWhenWorkersComeAndGo) {
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    CounterRandom random(seed);
    auto slices = static_cast<uint32_t>(uint64_t{1} << (seed % 3));
    Manifest manifest = sample_manifest(4, static_cast<uint32_t>(8 + random.bits(0) % 20));
    Placement placement = place_units(manifest, slices, empty_workers(3));
    for (uint64_t step = 1; step <= 20; ++step) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", step " << step << ", " << slices
                                      << " slices, " << placement.size() << " workers");
      std::vector<PlacementWorker> workers = holding(placement);
      bool join = workers.size() < 2 || (workers.size() < 9 && random.bits(step) % 2 == 0);
      size_t necessary = 0;
      if (join) {
        workers.push_back({peer(static_cast<uint8_t>(100 + step)), kPlenty, {}});
      } else {
        size_t leaver = random.bits(step, 1) % workers.size();
        necessary = workers[leaver].holding.size();
        workers.erase(workers.begin() + static_cast<ptrdiff_t>(leaver));
      }
      Placement next = place_units(manifest, slices, workers);
      if (join) necessary = next.at(workers.back().key).size();
      expect_sound(manifest, slices, next);
      expect_balanced(manifest, next);
      expect_spread(manifest, slices, next);
      EXPECT_EQ(total(next), units_in(manifest, slices));
      size_t moves = moved(placement, next);
      EXPECT_GE(moves, necessary);
      if (slices == 1) {
        EXPECT_EQ(moves, necessary);
      } else {
        EXPECT_LE(moves, necessary + total(next) / 10);
      }
      if (HasFailure()) return;
      placement = std::move(next);
    }
  }
}

}  // namespace
}  // namespace potluck
