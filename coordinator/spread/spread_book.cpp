#include "coordinator/spread/spread_book.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck {
namespace {

// Missing experts that are remembered by name: more than a window holds of small ones.
constexpr size_t kMissingKept = 4096;
constexpr size_t kMissingNamed = 16;

}  // namespace

SpreadBook::SpreadBook(const Manifest& outline, uint32_t slices, uint32_t copies,
                       uint64_t window_bytes)
    : slices_(slices), copies_(copies), window_bytes_(window_bytes) {
  for (const ManifestLayer& layer : outline.layers()) {
    layers_.push_back({&layer});
    counts_.total += layer.experts;
  }
}

const SpreadBook::Layer* SpreadBook::find(uint32_t layer) const {
  auto found = std::ranges::find_if(
      layers_, [layer](const Layer& entry) { return entry.outline->layer == layer; });
  return found == layers_.end() ? nullptr : &*found;
}

void SpreadBook::know(uint32_t layer, uint32_t experts) {
  for (Layer& entry : layers_) {
    if (entry.outline->layer != layer) continue;
    CHECK(experts <= entry.outline->experts);
    entry.known = experts;
  }
}

uint32_t SpreadBook::known(uint32_t layer) const {
  const Layer* entry = find(layer);
  return entry == nullptr ? 0 : entry->known;
}

void SpreadBook::hold(std::vector<ExpertName> experts) {
  held_ = std::set<ExpertName>(experts.begin(), experts.end());
}

uint64_t SpreadBook::expert_bytes(ExpertName name) const {
  const Layer* entry = find(name.layer);
  CHECK(entry != nullptr);
  return potluck::expert_bytes(entry->outline->shape, entry->outline->plan);
}

SpreadBook::Step SpreadBook::next(const ClusterState& cluster, bool all_here, TimePoint now) {
  look(cluster);
  if (moved(cluster) || !still_since_) still_since_ = now;
  // What workers are getting stays in memory until they have it.
  if (held_scarce_) return {};
  const Duration grace = all_here ? kGrace : kLongGrace;
  if (!missing_.empty() && now - *still_since_ >= grace) {
    return {Step::Kind::kRead, missing_, false};
  }
  std::vector<ExpertName> unknown = next_unknown();
  if (!unknown.empty()) return {Step::Kind::kRead, std::move(unknown), true};
  return {counts_.scarce == 0 ? Step::Kind::kComplete : Step::Kind::kWait, {}, false};
}

// All known units: a few milliseconds for the largest models, some times a second at most.
void SpreadBook::look(const ClusterState& cluster) {
  counts_.known = counts_.scarce = counts_.missing = 0;
  held_scarce_ = false;
  missing_.clear();
  uint64_t missing_bytes = 0;
  for (const Layer& layer : layers_) {
    counts_.known += layer.known;
    for (uint32_t expert = 0; expert < layer.known; ++expert) {
      const ExpertName name{static_cast<uint16_t>(layer.outline->layer),
                            static_cast<uint16_t>(expert)};
      if (cluster.is_own(name.layer, name.expert)) continue;
      const bool held = held_.contains(name);
      bool missing = false;
      for (uint32_t slice = 0; slice < slices_; ++slice) {
        if (slice_grains(layer.outline->plan.grains, slice, slices_).count == 0) continue;
        const UnitId unit{name.layer, name.expert, static_cast<uint16_t>(slice)};
        const size_t holders = cluster.holders(unit).size();
        if (holders >= copies_) continue;
        ++counts_.scarce;
        held_scarce_ = held_scarce_ || held;
        if (holders > 0 || held) continue;
        ++counts_.missing;
        missing = true;
      }
      if (!missing || missing_.size() >= kMissingKept) continue;
      missing_bytes += expert_bytes(name);
      if (missing_.empty() || missing_bytes <= window_bytes_) missing_.push_back(name);
    }
  }
}

// The next ones, layer after layer, as many as the window takes.
std::vector<ExpertName> SpreadBook::next_unknown() const {
  std::vector<ExpertName> experts;
  uint64_t bytes = 0;
  for (const Layer& layer : layers_) {
    for (uint32_t expert = layer.known; expert < layer.outline->experts; ++expert) {
      const ExpertName name{static_cast<uint16_t>(layer.outline->layer),
                            static_cast<uint16_t>(expert)};
      bytes += expert_bytes(name);
      if (!experts.empty() && bytes > window_bytes_) return experts;
      experts.push_back(name);
    }
  }
  return experts;
}

bool SpreadBook::moved(const ClusterState& cluster) {
  const uint64_t ready = cluster.units_ready();
  const size_t workers = cluster.workers().size();
  const bool moved = ready != seen_ready_ || workers != seen_workers_;
  seen_ready_ = ready;
  seen_workers_ = workers;
  return moved;
}

std::vector<std::string> SpreadBook::missing_names() const {
  std::vector<std::string> names;
  for (const ExpertName& name : missing_) {
    if (names.size() == kMissingNamed) break;
    names.push_back(fmt::format("layer {} expert {}", name.layer, name.expert));
  }
  return names;
}

}  // namespace potluck
