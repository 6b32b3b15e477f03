// ClusterState: who is in the pool and who holds what. Pure: it changes by apply(event) alone, so a
// list of events is a test, a log and a dashboard. Plain value; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/experts/unit_id.h"
#include "protocol/keys.h"

namespace potluck {

struct WorkerJoined {
  PeerKey key;
  uint32_t number = 0;
  std::string name;
  std::string software;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
};
struct WorkerLost {
  PeerKey key;
  std::string reason;
};
struct UnitsAssigned {
  PeerKey key;
  uint64_t version = 0;
  std::vector<UnitId> units;  // all it shall hold
};
struct UnitsReady {
  PeerKey key;
  std::vector<UnitId> units;
};
struct UnitsLost {
  PeerKey key;
  std::vector<UnitId> units;
};
using ClusterEvent = std::variant<WorkerJoined, WorkerLost, UnitsAssigned, UnitsReady, UnitsLost>;

struct WorkerRecord {
  uint32_t number = 0;  // 1, 2, .. in order of joining; never reused in an epoch
  std::string name;
  std::string software;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t assignment_version = 0;
  std::set<UnitId> assigned;
  std::set<UnitId> ready;
};

class ClusterState {
 public:
  void apply(const ClusterEvent& event);

  const std::map<PeerKey, WorkerRecord>& workers() const { return workers_; }
  const WorkerRecord* worker(const PeerKey& key) const;
  // Living workers that have the unit ready to compute, in order of their number.
  std::span<const PeerKey> holders(UnitId unit) const;
  uint32_t workers_lost() const { return workers_lost_; }
  uint64_t units_assigned() const;
  uint64_t units_ready() const;

 private:
  void add_holder(UnitId unit, const PeerKey& key);
  void remove_holder(UnitId unit, const PeerKey& key);

  std::map<PeerKey, WorkerRecord> workers_;
  std::unordered_map<UnitId, std::vector<PeerKey>> holders_;
  uint32_t workers_lost_ = 0;
};

}  // namespace potluck
