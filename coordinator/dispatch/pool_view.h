// PoolView: what people are shown of a pool: one row for each device, with everything that is known
// of it, and a map of who holds which experts. Made from the core at one moment; plain values, pure
// functions. The caller that makes one holds the lock of the core's loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/dispatch/coordinator_core.h"

namespace potluck {

// What a worker is doing, the first of these that is true.
enum class DeviceState : uint8_t {
  kQuarantined,  // it answered wrongly, and holds nothing
  kSilent,       // it has not been heard of for a while
  kDraining,     // it leaves once others have what it holds
  kLeftOut,      // the plan gives it nothing
  kJoining,      // it is assigned nothing yet
  kFetching,
  kReady,
};
// "ready" and the like.
const char* device_state_name(DeviceState state);

struct DeviceView {
  PeerKey key;
  WorkerRecord record;  // without its units
  uint64_t units_assigned = 0;
  uint64_t units_ready = 0;
  DeviceState state = DeviceState::kJoining;
  DeviceFacts facts;  // said and seen
  TrustRecord trust;
  double compared_share = 0;  // of its answers
  BreakerState breaker = BreakerState::kClosed;
  uint32_t weight = 1;
  std::string left_out;
  uint32_t accusers = 0;
  std::map<PeerKey, std::string> peer_names;  // of those that it fetched from, where they are known
};

struct PoolView {
  std::vector<DeviceView> devices;  // in order of their keys
  std::vector<WaitingDevice> waiting;
  double own_share = 0;
  std::optional<DeviceFacts> own;  // the coordinator as a device, if it keeps any experts
  uint32_t slices = 0;
  uint64_t waiting_calls = 0;  // of experts that no device has at present
  uint64_t units_assigned = 0;
  uint64_t units_ready = 0;
};

PoolView view_pool(const CoordinatorCore& core);

// Of one layer with experts.
struct LayerMap {
  uint32_t layer = 0;
  uint32_t own = 0;              // experts that the coordinator computes itself, from the first on
  std::vector<uint32_t> cells;   // by expert: which of the sets below holds it
  std::vector<uint32_t> copies;  // by expert: how many have each part of it, at least
  std::vector<uint32_t> uses;    // by expert, lately
};
struct UnitMap {
  std::vector<std::vector<uint32_t>> sets;  // numbers of workers, each in order; the first is empty
  std::vector<LayerMap> layers;
};

// Takes a look at every unit: not for every report.
UnitMap map_units(const ClusterState& cluster, const ExpertUse& use, uint32_t slices);
// Differs where the map of holders is likely to: made of little.
uint64_t map_fingerprint(const ClusterState& cluster);

}  // namespace potluck
