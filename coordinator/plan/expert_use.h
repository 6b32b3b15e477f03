// ExpertUse: how often each expert was used lately, by layer: the coordinator sees all routing.
// Counts decay, so that they follow what is talked about. Bounded by the manifest. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/experts/manifest.h"

namespace potluck {

class ExpertUse {
 public:
  explicit ExpertUse(const Manifest& manifest);

  // Each of these experts of the layer was used once more; numbers that the layer does not have are
  // passed over.
  void used(uint32_t layer, std::span<const uint32_t> experts);
  // Those with experts, ascending.
  std::vector<uint32_t> layers() const;
  // By expert; empty for a layer without any.
  std::span<const uint32_t> counts(uint32_t layer) const;

 private:
  // After so many uses for each expert of a layer, the older ones count half.
  static constexpr uint64_t kHalvedAfter = 4096;

  struct Layer {
    std::vector<uint32_t> counts;
    uint64_t total = 0;
  };
  std::map<uint32_t, Layer> layers_;
};

}  // namespace potluck
