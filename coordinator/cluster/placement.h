// Placement: which worker shall hold which units. Pure and deterministic; any thread. Balanced per
// layer (a layer waits for its slowest worker), slices of one expert on different workers, and as
// little movement as possible when a worker joins or leaves.
#pragma once

#include <cstdint>
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
};

// Units per worker, sorted. A unit that fits nowhere is left out (the coordinator computes it).
std::map<PeerKey, std::vector<UnitId>> place_units(const Manifest& manifest, uint32_t slices,
                                                   const std::vector<PlacementWorker>& workers);

// Bytes of one unit.
uint64_t unit_bytes(const Manifest& manifest, UnitId unit, uint32_t slices);

}  // namespace potluck
