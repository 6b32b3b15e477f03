// Two indices beside the records, from units to workers: holders_ (ready now, for the dispatcher)
// and keepers_ (have the bytes, for workers that fetch). Every key in them is a worker in workers_;
// a lost worker leaves all three at once.
#include "coordinator/cluster/cluster_state.h"

#include <algorithm>

#include <fmt/format.h>

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

std::span<const PeerKey> ClusterState::keepers(UnitId unit) const {
  auto found = keepers_.find(unit);
  if (found == keepers_.end()) return {};
  return found->second;
}

uint32_t ClusterState::accusers(const PeerKey& key) const {
  return static_cast<uint32_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto& w) {
    return w.second.sources.accused.contains(key);
  }));
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
  // What it said of its room was true of its earlier life; until it says so again, the disk it
  // offers is all there is to go by.
  record.room_bytes = ~uint64_t{0};
  record.room_reason.clear();
  record.bulk_endpoint = event.bulk_endpoint;
  record.health = {};  // until it says so
  record.draining = false;
}

void ClusterState::on_event(const WorkerLost& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  forget_ready(event.key, found->second);
  // A keeper may have units that it is not assigned any more, so its record does not lead to all of
  // them.
  for (auto entry = keepers_.begin(); entry != keepers_.end();) {
    std::erase(entry->second, event.key);
    entry = entry->second.empty() ? keepers_.erase(entry) : std::next(entry);
  }
  workers_.erase(found);
  ++workers_lost_;
}

void ClusterState::on_event(const WorkerDraining& event) {
  auto found = workers_.find(event.key);
  if (found != workers_.end()) found->second.draining = true;
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
    // Not from keepers_: the next holder fetches the unit from this worker.
    remove_key(holders_, *unit, event.key);
    unit = record.ready.erase(unit);
  }
}

void ClusterState::on_event(const UnitsReady& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  for (UnitId unit : event.units) {
    if (!found->second.assigned.contains(unit) || found->second.quarantine) continue;
    if (!found->second.ready.insert(unit).second) continue;
    add_key(holders_, unit, event.key);
    add_key(keepers_, unit, event.key);
  }
}

void ClusterState::on_event(const UnitsLost& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  for (UnitId unit : event.units) {
    if (found->second.ready.erase(unit) > 0) remove_key(holders_, unit, event.key);
    remove_key(keepers_, unit, event.key);
  }
}

void ClusterState::on_event(const RoomReported& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  found->second.room_bytes = event.room_bytes;
  found->second.room_reason = event.reason;
}

void ClusterState::on_event(const SourcesReported& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  found->second.sources = {event.coordinator_bytes, event.file_bytes, event.peer_bytes,
                           event.accused};
}

void ClusterState::on_event(const HealthReported& event) {
  auto found = workers_.find(event.key);
  if (found != workers_.end()) found->second.health = event.health;
}

void ClusterState::on_event(const WorkerQuarantined& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  found->second.quarantine = {event.reason, event.until_seconds};
  // At once, whatever is assigned to it: it must not be asked for anything any more.
  forget_ready(event.key, found->second);
}

void ClusterState::on_event(const WorkerReleased& event) {
  auto found = workers_.find(event.key);
  if (found != workers_.end()) found->second.quarantine.reset();
}

void ClusterState::on_event(const SpeedReported& event) {
  auto found = workers_.find(event.key);
  if (found == workers_.end()) return;
  DeviceFacts& facts = found->second.facts;
  facts.threads = event.threads;
  facts.disk_rate = event.disk_rate;
  facts.products = event.products;
}

void ClusterState::forget_ready(const PeerKey& key, WorkerRecord& record) {
  for (UnitId unit : record.ready) remove_key(holders_, unit, key);
  record.ready.clear();
}

// In order of the workers' numbers. Keys are random: in their order, the choice among holders would
// be another one in every run.
void ClusterState::add_key(KeysByUnit& index, UnitId unit, const PeerKey& key) {
  std::vector<PeerKey>& keys = index[unit];
  uint32_t number = workers_.at(key).number;
  auto place = std::find_if(keys.begin(), keys.end(), [&](const PeerKey& other) {
    return workers_.at(other).number >= number;
  });
  if (place == keys.end() || *place != key) keys.insert(place, key);
}

void ClusterState::remove_key(KeysByUnit& index, UnitId unit, const PeerKey& key) {
  auto found = index.find(unit);
  if (found == index.end()) return;
  std::erase(found->second, key);
  if (found->second.empty()) index.erase(found);
}

std::string ClusterState::describe(const PeerKey& peer) const {
  const WorkerRecord* record = worker(peer);
  if (record == nullptr) return "peer " + peer.brief();
  return fmt::format("worker {} ({}, {})", record->number, record->name, peer.brief());
}

}  // namespace potluck
