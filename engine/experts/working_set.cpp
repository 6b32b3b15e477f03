#include "engine/experts/working_set.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

WorkingSet working_set(const Manifest& manifest, uint32_t top_k, uint32_t held, uint32_t slices) {
  CHECK(held <= slices);
  WorkingSet set;
  for (const ManifestLayer& layer : manifest.layers()) {
    uint64_t experts = std::min(top_k, layer.experts);
    // Of slice_grains(), no run of `held` slices is longer.
    uint64_t grains = std::min<uint64_t>(
        ceil_div(uint64_t{layer.plan.grains} * held, uint64_t{slices}), layer.plan.grains);
    uint64_t bytes = 0;
    for (uint32_t grain = 0; grain < grains; ++grain) {  // the last one may be shorter
      bytes += grain_layout(layer.shape, layer.plan, grain).bytes;
    }
    set.grains += experts * grains;
    set.bytes += experts * bytes;
  }
  return set;
}

}  // namespace potluck
