#include "coordinator/cluster/cluster_state.h"

#include <algorithm>

namespace potluck {

void ClusterState::apply(const ClusterEvent& event) {
  std::visit([this](const auto& alternative) { on_event(alternative); }, event);
}

const WorkerRecord* ClusterState::worker(const PeerKey& key) const {
  auto found = workers_.find(key);
  return found == workers_.end() ? nullptr : &found->second;
}

std::span<const PeerKey> ClusterState::holders(UnitId unit) const {
  auto found = holders_.find(unit);
  if (found == holders_.end()) return {};
  return found->second;
}

uint64_t ClusterState::units_assigned() const {
  uint64_t units = 0;
  for (const auto& [key, record] : workers_) units += record.assigned.size();
  return units;
}

uint64_t ClusterState::units_ready() const {
  uint64_t units = 0;
  for (const auto& [key, record] : workers_) units += record.ready.size();
  return units;
}

void ClusterState::on_event(const WorkerJoined& event) {
  WorkerRecord& record = workers_[event.key];
  forget_ready(event.key, record);
  record.number = event.number;
  record.name = event.name;
  record.software = event.software;
  record.ram_bytes = event.ram_bytes;
  record.disk_bytes = event.disk_bytes;
}

void ClusterState::on_event(const WorkerLost& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  forget_ready(event.key, found->second);
  workers_.erase(found);
  ++workers_lost_;
}

void ClusterState::on_event(const UnitsAssigned& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  WorkerRecord& record = found->second;
  record.assignment_version = event.version;
  record.assigned = {event.units.begin(), event.units.end()};
  for (auto unit = record.ready.begin(); unit != record.ready.end();) {
    if (record.assigned.contains(*unit)) {
      ++unit;
      continue;
    }
    remove_holder(*unit, event.key);
    unit = record.ready.erase(unit);
  }
}

void ClusterState::on_event(const UnitsReady& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  for (UnitId unit : event.units) {
    if (!found->second.assigned.contains(unit)) continue;
    if (found->second.ready.insert(unit).second) add_holder(unit, event.key);
  }
}

void ClusterState::on_event(const UnitsLost& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  for (UnitId unit : event.units) {
    if (found->second.ready.erase(unit) > 0) remove_holder(unit, event.key);
  }
}

void ClusterState::forget_ready(const PeerKey& key, WorkerRecord& record) {
  for (UnitId unit : record.ready) remove_holder(unit, key);
  record.ready.clear();
}

void ClusterState::add_holder(UnitId unit, const PeerKey& key) {
  std::vector<PeerKey>& keys = holders_[unit];
  uint32_t number = workers_.at(key).number;
  auto place = std::find_if(keys.begin(), keys.end(), [&](const PeerKey& other) {
    return workers_.at(other).number > number;
  });
  keys.insert(place, key);
}

void ClusterState::remove_holder(UnitId unit, const PeerKey& key) {
  auto found = holders_.find(unit);
  if (found == holders_.end()) return;
  std::erase(found->second, key);
  if (found->second.empty()) holders_.erase(found);
}

}  // namespace potluck
