#include "coordinator/cluster/unit_moves.h"

#include <algorithm>
#include <iterator>

#include "coordinator/cluster/placement.h"

namespace potluck {

UnitSets UnitMoves::begin(const ClusterState& state, const Placement& primary,
                          const Placement& replicas) {
  UnitSets wanted;
  primary_.clear();
  for (const auto& [worker, units] : primary) {
    primary_[worker] = {units.begin(), units.end()};
    wanted[worker] = primary_[worker];
    if (auto more = replicas.find(worker); more != replicas.end()) {
      wanted[worker].insert(more->second.begin(), more->second.end());
    }
  }
  leaving_ = not_wanted(state, wanted);
  next_holders_.clear();
  if (leaving_.empty()) return wanted;
  for (const auto& [worker, units] : wanted) {
    for (UnitId unit : units) next_holders_[unit].push_back(worker);
  }
  for (auto& [worker, units] : leaving_) {
    keep_for_others(state, worker, wanted.at(worker), &units);
    wanted[worker].insert(units.begin(), units.end());
  }
  std::erase_if(leaving_, [](const auto& entry) { return entry.second.empty(); });
  return wanted;
}

// What workers have ready and are not to hold in the end.
UnitSets UnitMoves::not_wanted(const ClusterState& state, const UnitSets& wanted) {
  UnitSets surplus;
  for (const auto& [worker, units] : wanted) {
    const std::set<UnitId>& ready = state.worker(worker)->ready;
    std::set<UnitId> more;
    std::set_difference(ready.begin(), ready.end(), units.begin(), units.end(),
                        std::inserter(more, more.end()));
    if (!more.empty()) surplus[worker] = std::move(more);
  }
  return surplus;
}

// Of those, what the worker goes on to hold: while its next holders do not have it, and its disk
// has room for it beside what it is to get.
void UnitMoves::keep_for_others(const ClusterState& state, const PeerKey& worker,
                                const std::set<UnitId>& wanted, std::set<UnitId>* units) const {
  const WorkerRecord& record = *state.worker(worker);
  uint64_t room = std::min(record.disk_bytes, record.room_bytes);
  for (UnitId unit : wanted) room -= std::min(room, unit_bytes(manifest_, unit, slices_));
  std::erase_if(*units, [&](UnitId unit) {
    uint64_t bytes = unit_bytes(manifest_, unit, slices_);
    if (is_ready(state, unit) || bytes > room) return true;
    room -= bytes;
    return false;
  });
}

// Whether all its next holders have the unit. With none it is not wanted any more.
bool UnitMoves::is_ready(const ClusterState& state, UnitId unit) const {
  auto next = next_holders_.find(unit);
  if (next == next_holders_.end()) return true;
  return std::all_of(next->second.begin(), next->second.end(), [&](const PeerKey& holder) {
    const WorkerRecord* record = state.worker(holder);
    return record == nullptr || record->ready.contains(unit);
  });
}

bool UnitMoves::is_primary(const PeerKey& worker, UnitId unit) const {
  auto units = primary_.find(worker);
  return units != primary_.end() && units->second.contains(unit);
}

UnitSets UnitMoves::take_finished(const ClusterState& state) {
  UnitSets finished;
  for (auto& [worker, units] : leaving_) {
    for (UnitId unit : units) {
      if (is_ready(state, unit)) finished[worker].insert(unit);
    }
  }
  for (const auto& [worker, units] : finished) {
    for (UnitId unit : units) leaving_[worker].erase(unit);
  }
  std::erase_if(leaving_, [](const auto& entry) { return entry.second.empty(); });
  return finished;
}

bool UnitMoves::is_relieved(const ClusterState& state, const PeerKey& worker) const {
  auto leaving = leaving_.find(worker);
  return leaving == leaving_.end() ||
         std::all_of(leaving->second.begin(), leaving->second.end(),
                     [&](UnitId unit) { return is_ready(state, unit); });
}

std::set<UnitId> UnitMoves::lost(const PeerKey& worker, const std::vector<UnitId>& units) {
  std::set<UnitId> only_kept;
  auto leaving = leaving_.find(worker);
  if (leaving == leaving_.end()) return only_kept;
  for (UnitId unit : units) {
    if (leaving->second.erase(unit) > 0) only_kept.insert(unit);
  }
  if (leaving->second.empty()) leaving_.erase(leaving);
  return only_kept;
}

void UnitMoves::forget(const PeerKey& worker) {
  primary_.erase(worker);
  leaving_.erase(worker);
}

}  // namespace potluck
