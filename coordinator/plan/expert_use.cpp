#include "coordinator/plan/expert_use.h"

namespace potluck {

ExpertUse::ExpertUse(const Manifest& manifest) {
  for (const ManifestLayer& layer : manifest.layers()) {
    layers_[layer.layer].counts.assign(layer.experts, 0);
  }
}

void ExpertUse::used(uint32_t layer, std::span<const uint32_t> experts) {
  auto found = layers_.find(layer);
  if (found == layers_.end()) return;
  Layer& use = found->second;
  for (uint32_t expert : experts) {
    if (expert >= use.counts.size()) continue;
    ++use.counts[expert];
    ++use.total;
  }
  if (use.total < kHalvedAfter * use.counts.size()) return;
  use.total = 0;
  for (uint32_t& count : use.counts) {
    count /= 2;
    use.total += count;
  }
}

std::vector<uint32_t> ExpertUse::layers() const {
  std::vector<uint32_t> numbers;
  for (const auto& [number, layer] : layers_) numbers.push_back(number);
  return numbers;
}

std::span<const uint32_t> ExpertUse::counts(uint32_t layer) const {
  auto found = layers_.find(layer);
  if (found == layers_.end()) return {};
  return found->second.counts;
}

}  // namespace potluck
