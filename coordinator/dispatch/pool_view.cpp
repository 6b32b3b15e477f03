#include "coordinator/dispatch/pool_view.h"

#include <algorithm>
#include <set>

#include "engine/base/random.h"

namespace potluck {
namespace {

DeviceState state_of(const DeviceView& device, Liveness liveness) {
  if (device.record.quarantine) return DeviceState::kQuarantined;
  if (liveness != Liveness::kAlive) return DeviceState::kSilent;
  if (device.record.draining) return DeviceState::kDraining;
  if (device.units_assigned == 0) {
    return device.left_out.empty() ? DeviceState::kJoining : DeviceState::kLeftOut;
  }
  return device.units_ready < device.units_assigned ? DeviceState::kFetching : DeviceState::kReady;
}

// All but the units, of which there may be tens of thousands.
WorkerRecord without_units(const WorkerRecord& record) {
  WorkerRecord slim;
  slim.number = record.number;
  slim.name = record.name;
  slim.software = record.software;
  slim.ram_bytes = record.ram_bytes;
  slim.disk_bytes = record.disk_bytes;
  slim.room_bytes = record.room_bytes;
  slim.room_reason = record.room_reason;
  slim.assignment_version = record.assignment_version;
  slim.bulk_endpoint = record.bulk_endpoint;
  slim.sources = record.sources;
  slim.health = record.health;
  slim.quarantine = record.quarantine;
  slim.draining = record.draining;
  return slim;
}

DeviceView view_device(const CoordinatorCore& core, const PeerKey& key,
                       const WorkerRecord& record) {
  const Dispatcher& dispatcher = core.dispatcher();
  DeviceView view;
  view.key = key;
  view.record = without_units(record);
  view.units_assigned = record.assigned.size();
  view.units_ready = record.ready.size();
  view.facts = facts_of(key, record, &core.learned());
  view.trust = dispatcher.trust().record(key);
  view.compared_share = dispatcher.trust().check_rate(key);
  view.breaker = dispatcher.breaker(key);
  view.weight = core.shares().weight(key);
  view.left_out = core.shares().left_out(key);
  view.accusers = core.cluster().accusers(key);
  view.state = state_of(view, core.liveness(key));
  for (const auto& [peer, bytes] : record.sources.peer_bytes) {
    const WorkerRecord* known = core.cluster().worker(peer);
    if (known != nullptr) view.peer_names[peer] = known->name;
  }
  return view;
}

// Finds the number of a set of holders, and makes one for those that are new.
class HolderSets {
 public:
  explicit HolderSets(UnitMap* map) : map_(*map) { map_.sets.emplace_back(); }

  uint32_t number(const std::set<uint32_t>& holders) {
    if (holders.empty()) return 0;
    const auto [place, is_new] =
        numbers_.try_emplace(holders, static_cast<uint32_t>(map_.sets.size()));
    if (is_new) map_.sets.emplace_back(holders.begin(), holders.end());
    return place->second;
  }

 private:
  UnitMap& map_;
  std::map<std::set<uint32_t>, uint32_t> numbers_;
};

LayerMap map_layer(const ClusterState& cluster, uint32_t layer, std::span<const uint32_t> uses,
                   uint32_t slices, HolderSets& sets) {
  LayerMap map;
  map.layer = layer;
  map.uses.assign(uses.begin(), uses.end());
  for (uint32_t expert = 0; expert < uses.size(); ++expert) {
    if (cluster.is_own(layer, expert)) map.own = expert + 1;
    std::set<uint32_t> holders;
    uint32_t copies = UINT32_MAX;
    for (uint32_t slice = 0; slice < slices; ++slice) {
      const auto keys =
          cluster.holders({static_cast<uint16_t>(layer), static_cast<uint16_t>(expert),
                           static_cast<uint16_t>(slice)});
      copies = std::min(copies, static_cast<uint32_t>(keys.size()));
      for (const PeerKey& key : keys) holders.insert(cluster.worker(key)->number);
    }
    map.cells.push_back(sets.number(holders));
    map.copies.push_back(slices == 0 ? 0 : copies);
  }
  return map;
}

}  // namespace

const char* device_state_name(DeviceState state) {
  switch (state) {
    case DeviceState::kQuarantined:
      return "quarantined";
    case DeviceState::kSilent:
      return "silent";
    case DeviceState::kDraining:
      return "draining";
    case DeviceState::kLeftOut:
      return "left out";
    case DeviceState::kJoining:
      return "joining";
    case DeviceState::kFetching:
      return "fetching";
    case DeviceState::kReady:
      break;
  }
  return "ready";
}

PoolView view_pool(const CoordinatorCore& core) {
  PoolView view;
  for (const auto& [key, record] : core.cluster().workers()) {
    view.devices.push_back(view_device(core, key, record));
  }
  view.waiting = core.waiting_devices();
  view.own_share = core.shares().own_share();
  view.own = core.shares().own();
  view.slices = core.shares().slices();
  view.waiting_calls = core.dispatcher().stranded_calls();
  view.units_assigned = core.cluster().units_assigned();
  view.units_ready = core.cluster().units_ready();
  return view;
}

UnitMap map_units(const ClusterState& cluster, const ExpertUse& use, uint32_t slices) {
  UnitMap map;
  HolderSets sets(&map);
  for (const uint32_t layer : use.layers()) {
    map.layers.push_back(map_layer(cluster, layer, use.counts(layer), slices, sets));
  }
  return map;
}

uint64_t map_fingerprint(const ClusterState& cluster) {
  uint64_t mixed = cluster.workers().size();
  for (const auto& [key, record] : cluster.workers()) {
    for (const uint64_t part : {uint64_t{record.number}, record.assignment_version,
                                uint64_t{record.assigned.size()}, uint64_t{record.ready.size()}}) {
      mixed = mix64(mixed ^ part);
    }
  }
  for (const uint32_t experts : cluster.own_experts()) mixed = mix64(mixed ^ experts);
  return mixed;
}

}  // namespace potluck
