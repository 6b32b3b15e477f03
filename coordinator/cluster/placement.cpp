// Layer by layer, since balance is needed within each: a step waits for the slowest worker of every
// layer, not for the one that holds most in all.
#include "coordinator/cluster/placement.h"

#include <algorithm>

#include "coordinator/cluster/layer_placer.h"
#include "engine/base/check.h"

namespace potluck {
namespace {

// One worker while the layers are placed, one after the other.
struct Candidate {
  const PlacementWorker* worker = nullptr;
  std::vector<UnitId> holding;  // sorted
  std::vector<UnitId> copies;   // sorted
  std::vector<UnitId> placed;
  uint64_t disk_left = 0;
};

// The outcome may depend on which workers there are, not on the order in which they are named: the
// same workers then find their units in their stores after a restart.
std::vector<Candidate> sorted_candidates(const std::vector<PlacementWorker>& workers) {
  std::vector<Candidate> candidates;
  candidates.reserve(workers.size());
  for (const PlacementWorker& worker : workers) {
    candidates.push_back({&worker, worker.holding, worker.copies, {}, worker.disk_bytes});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.worker->key < b.worker->key; });
  for (Candidate& candidate : candidates) {
    std::sort(candidate.holding.begin(), candidate.holding.end());
    std::sort(candidate.copies.begin(), candidate.copies.end());
  }
  return candidates;
}

uint64_t slice_bytes(const ManifestLayer& layer, uint32_t slice, uint32_t slices) {
  GrainRange grains = slice_grains(layer.plan.grains, slice, slices);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < grains.count; ++i) {
    bytes += grain_layout(layer.shape, layer.plan, grains.first + i).bytes;
  }
  return bytes;
}

// The slices of this layer's experts that are not empty, and the bytes of the largest.
struct SliceList {
  std::vector<uint16_t> slices;
  uint64_t largest_bytes = 0;
};

SliceList used_slices(const ManifestLayer& layer, uint32_t slices) {
  SliceList list;
  for (uint32_t slice = 0; slice < slices; ++slice) {
    uint64_t bytes = slice_bytes(layer, slice, slices);
    if (bytes == 0) continue;
    list.slices.push_back(static_cast<uint16_t>(slice));
    list.largest_bytes = std::max(list.largest_bytes, bytes);
  }
  return list;
}

// What is still to be placed, this layer included.
struct Remaining {
  uint64_t layer_bytes = 0;
  uint64_t model_bytes = 0;
};

// How many units of this layer the disk has room for, when the later layers are to get their share
// as well. Every unit counts as the largest: any move within the layer then still fits.
uint32_t room_for(uint64_t disk_left, const Remaining& remaining, uint64_t largest_unit,
                  uint32_t units) {
  if (disk_left >= remaining.model_bytes) return units;
  double share =
      static_cast<double>(remaining.layer_bytes) / static_cast<double>(remaining.model_bytes);
  auto budget = static_cast<uint64_t>(static_cast<double>(disk_left) * share);
  return static_cast<uint32_t>(
      // The share is rounded as a double, which may end above what is left.
      std::min<uint64_t>(std::min(budget, disk_left) / largest_unit, units));
}

// Those of `units` (sorted) that are of this layer, as LayerPlacer numbers them: from expert
// `first` on.
std::vector<uint32_t> numbers_of(const std::vector<UnitId>& units, const ManifestLayer& layer,
                                 uint32_t first, const SliceList& list) {
  std::vector<uint32_t> numbers;
  auto layer_number = static_cast<uint16_t>(layer.layer);
  auto unit = std::lower_bound(units.begin(), units.end(), UnitId{layer_number, 0, 0});
  for (; unit != units.end() && unit->layer == layer_number; ++unit) {
    auto slice = std::lower_bound(list.slices.begin(), list.slices.end(), unit->slice);
    // Holdings of a pool with other slices, or of another model, are no reason to fail.
    if (slice == list.slices.end() || *slice != unit->slice) continue;
    if (unit->expert < first || unit->expert >= layer.experts) continue;
    auto index = static_cast<uint32_t>(slice - list.slices.begin());
    numbers.push_back(static_cast<uint32_t>((unit->expert - first) * list.slices.size()) + index);
  }
  return numbers;
}

std::vector<PlacerWorker> placer_workers(const std::vector<Candidate>& candidates,
                                         const ManifestLayer& layer, uint32_t first,
                                         const SliceList& list, const Remaining& remaining) {
  auto units = static_cast<uint32_t>((layer.experts - first) * list.slices.size());
  std::vector<PlacerWorker> workers;
  for (const Candidate& candidate : candidates) {
    PlacerWorker worker;
    worker.capacity = room_for(candidate.disk_left, remaining, list.largest_bytes, units);
    worker.load = candidate.placed.size();
    worker.weight = candidate.worker->weight;
    worker.holding = numbers_of(candidate.holding, layer, first, list);
    worker.copies = numbers_of(candidate.copies, layer, first, list);
    workers.push_back(std::move(worker));
  }
  return workers;
}

uint32_t own_of(const OwnExperts& own, const ManifestLayer& layer) {
  return layer.layer < own.size() ? std::min(own[layer.layer], layer.experts) : 0;
}

// Experts from `first` on.
void place_layer(const ManifestLayer& layer, uint32_t first, uint32_t slices,
                 const Remaining& remaining, std::vector<Candidate>& candidates) {
  if (first == layer.experts) return;
  SliceList list = used_slices(layer, slices);
  auto per_expert = static_cast<uint32_t>(list.slices.size());
  LayerPlacer placer(layer.experts - first, per_expert,
                     placer_workers(candidates, layer, first, list, remaining));
  std::vector<int32_t> owners = placer.place();
  for (uint32_t unit = 0; unit < owners.size(); ++unit) {
    if (owners[unit] < 0) continue;
    Candidate& owner = candidates[static_cast<size_t>(owners[unit])];
    uint16_t slice = list.slices[unit % per_expert];
    owner.placed.push_back({static_cast<uint16_t>(layer.layer),
                            static_cast<uint16_t>(first + unit / per_expert), slice});
    owner.disk_left -= slice_bytes(layer, slice, slices);
  }
}

}  // namespace

Placement place_units(const Manifest& manifest, uint32_t slices,
                      const std::vector<PlacementWorker>& workers, const OwnExperts& own) {
  CHECK(slices > 0);
  std::vector<Candidate> candidates = sorted_candidates(workers);
  auto bytes_of = [&](const ManifestLayer& layer) {
    return (layer.experts - own_of(own, layer)) * expert_bytes(layer.shape, layer.plan);
  };
  uint64_t bytes_left = 0;
  for (const ManifestLayer& layer : manifest.layers()) bytes_left += bytes_of(layer);
  for (const ManifestLayer& layer : manifest.layers()) {
    if (candidates.empty()) break;
    uint64_t layer_bytes = bytes_of(layer);
    place_layer(layer, own_of(own, layer), slices, {layer_bytes, bytes_left}, candidates);
    bytes_left -= layer_bytes;
  }
  Placement placement;
  for (Candidate& candidate : candidates) {
    placement.emplace(candidate.worker->key, std::move(candidate.placed));
  }
  return placement;
}

uint64_t unit_bytes(const Manifest& manifest, UnitId unit, uint32_t slices) {
  const ManifestLayer* layer = manifest.layer(unit.layer);
  CHECK(layer != nullptr && unit.expert < layer->experts && unit.slice < slices);
  return slice_bytes(*layer, unit.slice, slices);
}

}  // namespace potluck
