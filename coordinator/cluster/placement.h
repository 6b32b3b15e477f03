// Placement: which worker shall hold which units. Pure and deterministic; any thread. Balanced per
// layer (a layer waits for its slowest worker) by what each worker can do, slices of one expert on
// different workers, and as little movement as possible when a worker joins or leaves.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "engine/experts/manifest.h"
#include "engine/experts/unit_id.h"
#include "protocol/keys.h"

namespace potluck {

struct PlacementWorker {
  PeerKey key;
  uint64_t disk_bytes = 0;      // what its store may hold
  std::vector<UnitId> holding;  // assigned to it at present; kept where balance allows
  // What it can do, compared with the others: it gets units in this ratio. 0: none. All alike: all
  // get the same.
  uint32_t weight = 1;
  std::vector<UnitId> copies{};  // that it also has: replicas, or what it is about to give away
};

// The weight of the fastest worker where weights differ; others have parts of it.
inline constexpr uint32_t kFullWeight = 1000;

// How many experts the coordinator keeps itself, by layer number: the first ones of each. What is
// beyond the end is 0.
using OwnExperts = std::vector<uint32_t>;

// Units per worker, sorted.
using Placement = std::map<PeerKey, std::vector<UnitId>>;

// Without the coordinator's own. A unit that fits nowhere is left out
// (the coordinator computes it, too).
Placement place_units(const Manifest& manifest, uint32_t slices,
                      const std::vector<PlacementWorker>& workers, const OwnExperts& own = {});

// Further copies of units, so that each has `copies` holders as long as there is room: units per
// worker, sorted, none of which `placement` gives it. `order`: which experts come first. A worker
// gets units in the ratio of its weight, first those that it has.
using ExpertOrder = std::function<std::vector<uint32_t>(uint32_t layer)>;
Placement place_replicas(const Manifest& manifest, uint32_t slices,
                         const std::vector<PlacementWorker>& workers, const Placement& placement,
                         uint32_t copies, const ExpertOrder& order);

// Bytes of one unit.
uint64_t unit_bytes(const Manifest& manifest, UnitId unit, uint32_t slices);

}  // namespace potluck
