// ClusterState: who is in the pool and who holds what. Pure: it changes by apply(event) alone, so a
// list of events is a test, a log and a dashboard. Plain value; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/experts/unit_id.h"
#include "protocol/keys.h"

namespace potluck {

// For a worker that is known already: its facts are replaced, and nothing is ready any more until
// it says so (it may have started anew). What is assigned to it stays.
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
// Units that are assigned again stay ready.
struct UnitsAssigned {
  PeerKey key;
  uint64_t version = 0;
  std::vector<UnitId> units;  // all it shall hold
};
// Units that are not assigned to the worker are passed over.
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
  std::set<UnitId> ready;  // a subset of assigned

  bool operator==(const WorkerRecord&) const = default;
};

class ClusterState {
 public:
  // Events about workers that are not in the pool change nothing (except WorkerJoined).
  void apply(const ClusterEvent& event);

  const std::map<PeerKey, WorkerRecord>& workers() const { return workers_; }
  const WorkerRecord* worker(const PeerKey& key) const;
  // Living workers that have the unit ready to compute, in order of their number.
  std::span<const PeerKey> holders(UnitId unit) const;
  uint32_t workers_lost() const { return workers_lost_; }
  uint64_t units_assigned() const;
  uint64_t units_ready() const;

  bool operator==(const ClusterState&) const = default;

 private:
  void on_event(const WorkerJoined& event);
  void on_event(const WorkerLost& event);
  void on_event(const UnitsAssigned& event);
  void on_event(const UnitsReady& event);
  void on_event(const UnitsLost& event);
  void forget_ready(const PeerKey& key, WorkerRecord& record);
  void add_holder(UnitId unit, const PeerKey& key);
  void remove_holder(UnitId unit, const PeerKey& key);

  std::map<PeerKey, WorkerRecord> workers_;
  std::unordered_map<UnitId, std::vector<PeerKey>> holders_;
  uint32_t workers_lost_ = 0;
};

}  // namespace potluck
