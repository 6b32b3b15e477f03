// Replicas are placed unit by unit, the hottest experts of all layers first, each with the worker
// that is furthest behind its part. They may fill a disk: what every worker must hold has its place
// before.
#include <algorithm>
#include <set>

#include "coordinator/cluster/placement.h"

namespace potluck {
namespace {

struct ReplicaHolder {
  const PlacementWorker* worker = nullptr;
  std::set<UnitId> has;   // placed here
  std::set<UnitId> near;  // on its disk already
  std::vector<UnitId> replicas;
  uint64_t room = 0;

  double load() const { return static_cast<double>(has.size()) / worker->weight; }
};

std::vector<ReplicaHolder> holders_of(const Manifest& manifest, uint32_t slices,
                                      const std::vector<PlacementWorker>& workers,
                                      const Placement& placement) {
  std::vector<ReplicaHolder> holders;
  for (const PlacementWorker& worker : workers) {
    if (worker.weight == 0) continue;
    ReplicaHolder holder;
    holder.worker = &worker;
    holder.room = worker.disk_bytes;
    if (auto placed = placement.find(worker.key); placed != placement.end()) {
      holder.has = {placed->second.begin(), placed->second.end()};
      for (UnitId unit : placed->second) {
        holder.room -= std::min(holder.room, unit_bytes(manifest, unit, slices));
      }
    }
    holder.near = {worker.copies.begin(), worker.copies.end()};
    holder.near.insert(worker.holding.begin(), worker.holding.end());
    holders.push_back(std::move(holder));
  }
  // As place_units(): the outcome depends on who is there, not on the order.
  std::sort(holders.begin(), holders.end(), [](const ReplicaHolder& a, const ReplicaHolder& b) {
    return a.worker->key < b.worker->key;
  });
  return holders;
}

// Puts a further copy of the unit where it is best: with a worker that has it on its disk, as long
// as that does not get more than its part (a load of `fair`); else with the least loaded.
void add_copy(UnitId unit, uint64_t bytes, double fair, std::vector<ReplicaHolder>& holders) {
  ReplicaHolder* best = nullptr;
  std::pair<bool, double> best_rank;
  for (ReplicaHolder& holder : holders) {
    if (holder.room < bytes || holder.has.contains(unit)) continue;
    bool here = holder.near.contains(unit) && holder.load() < fair;
    std::pair<bool, double> rank{!here, holder.load()};
    if (best != nullptr && rank >= best_rank) continue;
    best = &holder;
    best_rank = rank;
  }
  if (best == nullptr) return;
  best->room -= bytes;
  best->has.insert(unit);
  best->replicas.push_back(unit);
}

// All units in the order in which they get copies: by the place of their expert in its layer.
std::vector<UnitId> ordered_units(const Manifest& manifest, uint32_t slices,
                                  const ExpertOrder& order) {
  std::vector<std::vector<uint32_t>> orders;
  size_t longest = 0;
  for (const ManifestLayer& layer : manifest.layers()) {
    orders.push_back(order(layer.layer));
    longest = std::max(longest, orders.back().size());
  }
  std::vector<UnitId> units;
  for (size_t place = 0; place < longest; ++place) {
    for (size_t i = 0; i < orders.size(); ++i) {
      const ManifestLayer& layer = manifest.layers()[i];
      if (place >= orders[i].size() || orders[i][place] >= layer.experts) continue;
      for (uint32_t slice = 0; slice < slices; ++slice) {
        units.push_back({static_cast<uint16_t>(layer.layer),
                         static_cast<uint16_t>(orders[i][place]), static_cast<uint16_t>(slice)});
      }
    }
  }
  return units;
}

}  // namespace

Placement place_replicas(const Manifest& manifest, uint32_t slices,
                         const std::vector<PlacementWorker>& workers, const Placement& placement,
                         uint32_t copies, const ExpertOrder& order) {
  std::vector<ReplicaHolder> holders = holders_of(manifest, slices, workers, placement);
  std::vector<UnitId> units = ordered_units(manifest, slices, order);
  double weights = 0;
  for (const ReplicaHolder& holder : holders) weights += holder.worker->weight;
  for (uint32_t copy = 1; copy < copies; ++copy) {
    double fair = (copy + 1) * static_cast<double>(units.size()) / std::max(1.0, weights);
    for (UnitId unit : units) {
      uint64_t bytes = unit_bytes(manifest, unit, slices);
      if (bytes > 0) add_copy(unit, bytes, fair, holders);
    }
  }
  Placement replicas;
  for (ReplicaHolder& holder : holders) {
    std::sort(holder.replicas.begin(), holder.replicas.end());
    replicas.emplace(holder.worker->key, std::move(holder.replicas));
  }
  return replicas;
}

}  // namespace potluck
