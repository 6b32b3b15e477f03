// Making room in the store for what is assigned: which grains go, and in which order. A plain
// function over what the caller knows of its pools; it removes grains and reads manifests. One
// thread.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "engine/experts/grain_store.h"
#include "engine/experts/manifest.h"
#include "worker/manifest_store.h"

namespace potluck {

// What is known of the pools whose grains the store may hold.
struct StoreClaims {
  // The first eight bytes of the digests of all grains that are assigned to this device, in any
  // order: these stay. Another one that is alike may stay, too.
  std::vector<uint64_t> needed;
  // Of the pools that this worker is joined to, with their names.
  std::vector<const Manifest*> joined;
  std::set<Digest> joined_names;
  // The others in there are of pools that are away. Null: there are none.
  const ManifestStore* manifests = nullptr;
  // Pools may still come back: what they have here stays.
  bool keep_away = false;
};

// Removes grains that are not needed until `bytes` fit into the store; false if they cannot. First
// go those that no manifest names, then those of the joined pools, then those of pools that are
// away, the pool first whose manifest is the oldest.
bool make_store_room(GrainStore& store, StoreClaims claims, uint64_t bytes);

}  // namespace potluck
