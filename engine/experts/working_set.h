// What one token reads of the experts that a device holds. A cache that is smaller hits nothing
// that the token before has used, however well it is managed. Pure; any thread.
#pragma once

#include <cstdint>

#include "engine/experts/manifest.h"

namespace potluck {

struct WorkingSet {
  uint64_t grains = 0;
  uint64_t bytes = 0;

  // In a cache of slabs that are each as large as the largest grain.
  uint64_t slab_bytes(const Manifest& manifest) const {
    return grains * manifest.largest_grain_bytes();
  }
};

// Of a device that holds `held` of the `slices` slices of every expert (1 of 1: all of it): in each
// layer `top_k` experts, or all if there are fewer. Slices differ in length by at most a grain; the
// longest count.
WorkingSet working_set(const Manifest& manifest, uint32_t top_k, uint32_t held, uint32_t slices);

}  // namespace potluck
