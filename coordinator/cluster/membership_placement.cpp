// Who holds what: places units when workers come, go, or turn out to be of another speed, and takes
// units from their old holders when the next ones are ready.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "coordinator/cluster/membership.h"

namespace potluck {
namespace {

// By how much each expert of the layer was used lately; as they are numbered, where that is not
// known.
std::vector<uint32_t> hottest_first(const PoolLearning* learned, const ManifestLayer& layer) {
  std::vector<uint32_t> experts(layer.experts);
  std::iota(experts.begin(), experts.end(), 0);
  if (learned != nullptr) {
    std::span<const uint32_t> counts = learned->use.counts(layer.layer);
    std::stable_sort(experts.begin(), experts.end(),
                     [&](uint32_t a, uint32_t b) { return counts[a] > counts[b]; });
  }
  return experts;
}

}  // namespace

void Membership::rebalance(const PeerKey* greeted) {
  // Once founded, always founded: a worker that leaves again must not stop placement.
  auto due = founding_due();
  founded_ = founded_ || state_.workers().size() >= options_.founding_workers ||
             (due && clock_.now() >= *due);
  room_changed_ = false;
  if (!founded_) return;
  placed_at_ = clock_.now();
  OwnExperts own = choose_own();
  if (own != state_.own_experts()) state_.apply(OwnExpertsChosen{std::move(own)});
  empty_quarantined();
  std::vector<PlacementWorker> workers = placement_workers();
  Placement placement = place(workers);
  Placement replicas = replicas_of(placement, workers);
  released_at_ = placed_at_;
  for (const auto& [peer, units] : moves_.begin(state_, placement, replicas)) {
    // An assignment is large, and most workers keep theirs when one comes or goes.
    bool same = units == state_.worker(peer)->assigned;
    if (same && (greeted == nullptr || peer != *greeted)) continue;
    assign(peer, {units.begin(), units.end()});
  }
}

std::vector<PlacementWorker> Membership::placement_workers() const {
  std::vector<PlacementWorker> workers;
  for (const auto& [peer, record] : state_.workers()) {
    if (record.quarantine) continue;
    PlacementWorker worker;
    worker.key = peer;
    // Who is about to leave keeps what it holds until the next holders have it, and gets no more.
    worker.disk_bytes = record.draining ? 0 : std::min(record.disk_bytes, record.room_bytes);
    bool gets_none = record.draining || record.health.pauses();
    // When only workers hold the experts, copies matter more than speed: no worker is left out.
    uint32_t least = options_.outline != nullptr ? 1 : 0;
    worker.weight = gets_none ? 0 : std::max(least, shares_.weight(peer));
    // A worker whose store is full keeps the units that are ready there; those that it was only
    // assigned may go elsewhere.
    bool full = record.room_bytes < record.disk_bytes;
    for (UnitId unit : full ? record.ready : record.assigned) {
      (moves_.is_primary(peer, unit) ? worker.holding : worker.copies).push_back(unit);
    }
    workers.push_back(std::move(worker));
  }
  return workers;
}

// Whole experts, the first ones of every layer: any are as good as others.
OwnExperts Membership::choose_own() const {
  OwnExperts own;
  if (!options_.own) return own;
  uint64_t room = options_.own->ram_bytes;
  for (const ManifestLayer& layer : manifest_.layers()) {
    auto wanted = static_cast<uint64_t>(shares_.own_share() * layer.experts);
    uint64_t bytes = expert_bytes(layer.shape, layer.plan);
    uint64_t experts = std::min<uint64_t>({wanted, room / bytes, layer.experts});
    room -= experts * bytes;
    own.resize(size_t{layer.layer} + 1, 0);
    own[layer.layer] = static_cast<uint32_t>(experts);
  }
  return own;
}

// By the plan, unless that leaves units without a place that those have who were left out.
Placement Membership::place(std::vector<PlacementWorker> workers) const {
  Placement placement = place_units(manifest_, options_.slices, workers, state_.own_experts());
  bool any_left_out = std::any_of(
      workers.begin(), workers.end(),
      [](const PlacementWorker& worker) { return worker.weight == 0 && worker.disk_bytes > 0; });
  if (!any_left_out) return placement;
  uint64_t placed = 0;
  for (const auto& [peer, units] : placement) {
    for (UnitId unit : units) placed += unit_bytes(manifest_, unit, options_.slices);
  }
  uint64_t own = 0;
  for (const ManifestLayer& layer : manifest_.layers()) {
    if (layer.layer >= state_.own_experts().size()) continue;
    own += state_.own_experts()[layer.layer] * expert_bytes(layer.shape, layer.plan);
  }
  if (placed + own >= manifest_.total_bytes()) return placement;
  for (PlacementWorker& worker : workers) worker.weight = std::max(worker.weight, 1u);
  return place_units(manifest_, options_.slices, workers, state_.own_experts());
}

Placement Membership::replicas_of(const Placement& placement,
                                  const std::vector<PlacementWorker>& workers) const {
  if (options_.replicas <= 1) return {};
  auto order = [this](uint32_t layer) {
    std::vector<uint32_t> experts = hottest_first(options_.learned, *manifest_.layer(layer));
    std::erase_if(experts, [&](uint32_t expert) { return state_.is_own(layer, expert); });
    return experts;
  };
  return place_replicas(manifest_, options_.slices, workers, placement, options_.replicas, order);
}

void Membership::release_finished() {
  released_at_ = clock_.now();
  for (const auto& [peer, units] : moves_.take_finished(state_)) take_away(peer, units);
}

void Membership::take_away(const PeerKey& peer, const std::set<UnitId>& units) {
  std::vector<UnitId> left;
  for (UnitId unit : state_.worker(peer)->assigned) {
    if (!units.contains(unit)) left.push_back(unit);
  }
  assign(peer, std::move(left));
}

void Membership::assign(const PeerKey& peer, std::vector<UnitId> units) {
  // By its version a report of the worker is matched to the assignment that it is about.
  uint64_t version = next_version_++;
  notices_.add(fmt::format("{} is assigned {} units", state_.describe(peer), units.size()),
               LogLevel::kDebug, {{"worker", peer.brief()}, {"units", units.size()}});
  state_.apply(UnitsAssigned{peer, version, std::move(units)});
  outbox_.add_assignment(peer);
}

}  // namespace potluck
