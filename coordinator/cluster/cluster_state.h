// ClusterState: who is in the pool and who holds what. Pure: it changes by apply(event) alone, so a
// list of events is a test, a log and a dashboard. Plain value; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "coordinator/plan/device_facts.h"
#include "engine/experts/unit_id.h"
#include "protocol/message.h"

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
  std::string bulk_endpoint{};  // where it serves grains; may be empty
};
struct WorkerLost {
  PeerKey key;
  std::string reason;
};
// It wants to leave once others have what it holds.
struct WorkerDraining {
  PeerKey key;
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
// What the worker's store can hold at present, where that is less than its quota.
struct RoomReported {
  PeerKey key;
  uint64_t room_bytes = 0;
  std::string reason{};  // for people
};
// Where a worker's grains came from: its own totals, which replace what it said before.
struct SourcesReported {
  PeerKey key;
  uint64_t coordinator_bytes = 0;
  uint64_t file_bytes = 0;
  std::map<PeerKey, uint64_t> peer_bytes;
  std::set<PeerKey> accused;  // peers that sent it something else than the grains it had asked for
};
// How much of its speed a worker lends at present, and why.
struct WorkerHealth {
  uint8_t share = 100;  // percent; 0: the work is to go to others
  std::string reason;   // for people; may be empty
  std::optional<uint8_t> battery_percent;
  bool on_battery = false;
  std::optional<int16_t> celsius;  // of the processor
  uint32_t pause_seconds = 0;      // in so many it will lend nothing; 0: no pause is coming
  DeviceUse use{};

  // It gets no units, and hands over those that it has.
  bool pauses() const { return share == 0 || pause_seconds > 0; }
  bool operator==(const WorkerHealth&) const = default;
};
struct HealthReported {
  PeerKey key;
  WorkerHealth health;
};
// It answered wrongly, and is to hold nothing until it is released.
struct WorkerQuarantined {
  PeerKey key;
  std::string reason;
  int64_t until_seconds = 0;  // Unix time
};
struct WorkerReleased {
  PeerKey key;
};
struct QuarantineRecord {
  std::string reason;
  int64_t until_seconds = 0;

  bool operator==(const QuarantineRecord&) const = default;
};
// How fast a worker says that it is.
struct SpeedReported {
  PeerKey key;
  uint32_t threads = 0;
  double disk_rate = 0;
  std::vector<ProductSpeed> products;
};
// What the coordinator computes itself: of each layer, by its number, so many experts from the
// first on. Layers beyond the end have none.
struct OwnExpertsChosen {
  std::vector<uint32_t> experts;
};
using ClusterEvent =
    std::variant<WorkerJoined, WorkerLost, WorkerDraining, UnitsAssigned, UnitsReady, UnitsLost,
                 RoomReported, SourcesReported, HealthReported, SpeedReported, WorkerQuarantined,
                 WorkerReleased, OwnExpertsChosen>;

struct SourceRecord {
  uint64_t coordinator_bytes = 0;
  uint64_t file_bytes = 0;
  std::map<PeerKey, uint64_t> peer_bytes;
  std::set<PeerKey> accused;

  bool operator==(const SourceRecord&) const = default;
};

struct WorkerRecord {
  uint32_t number = 0;  // 1, 2, .. in order of joining; never reused in an epoch
  std::string name;
  std::string software;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t room_bytes = ~uint64_t{0};  // as RoomReported has it; any, unless it said so
  std::string room_reason;             // why it is less, for people
  uint64_t assignment_version = 0;
  std::set<UnitId> assigned;
  std::set<UnitId> ready;  // a subset of assigned
  std::string bulk_endpoint;
  SourceRecord sources;
  WorkerHealth health;
  std::optional<QuarantineRecord> quarantine;
  DeviceFacts facts;  // as SpeedReported has them
  // It is about to leave: it keeps what it holds, and is assigned nothing more.
  bool draining = false;

  bool operator==(const WorkerRecord&) const = default;
};

class ClusterState {
 public:
  // Events about workers that are not in the pool change nothing (except WorkerJoined).
  void apply(const ClusterEvent& event);

  const std::map<PeerKey, WorkerRecord>& workers() const { return workers_; }
  const WorkerRecord* worker(const PeerKey& key) const;
  // A peer as people know it: by number and name if it is a worker.
  std::string describe(const PeerKey& peer) const;
  // Living workers that have the unit ready to compute, in order of their number.
  std::span<const PeerKey> holders(UnitId unit) const;
  // Living workers that have had the unit ready and said nothing of its loss: it is on their disk,
  // assigned to them or not, unless they needed the room. In order of their number.
  std::span<const PeerKey> keepers(UnitId unit) const;
  // How many living workers say that this one sent them wrong bytes. Nothing follows from it but
  // that people see it: one liar, or one worker with bad memory, must not ban an honest peer. Each
  // worker avoids the peers that it caught itself.
  uint32_t accusers(const PeerKey& key) const;
  // Whether the coordinator computes this expert itself.
  bool is_own(uint32_t layer, uint32_t expert) const {
    return layer < own_experts_.size() && expert < own_experts_[layer];
  }
  const std::vector<uint32_t>& own_experts() const { return own_experts_; }
  uint32_t workers_lost() const { return workers_lost_; }
  uint64_t units_assigned() const;
  uint64_t units_ready() const;

  bool operator==(const ClusterState&) const = default;

 private:
  void on_event(const WorkerJoined& event);
  void on_event(const WorkerLost& event);
  void on_event(const WorkerDraining& event);
  void on_event(const UnitsAssigned& event);
  void on_event(const UnitsReady& event);
  void on_event(const UnitsLost& event);
  void on_event(const RoomReported& event);
  void on_event(const SourcesReported& event);
  void on_event(const HealthReported& event);
  void on_event(const WorkerQuarantined& event);
  void on_event(const WorkerReleased& event);
  void on_event(const SpeedReported& event);
  void on_event(const OwnExpertsChosen& event) { own_experts_ = event.experts; }
  void forget_ready(const PeerKey& key, WorkerRecord& record);
  // Keys in order of the workers' numbers.
  using KeysByUnit = std::unordered_map<UnitId, std::vector<PeerKey>>;
  void add_key(KeysByUnit& index, UnitId unit, const PeerKey& key);
  static void remove_key(KeysByUnit& index, UnitId unit, const PeerKey& key);

  std::map<PeerKey, WorkerRecord> workers_;
  KeysByUnit holders_;
  KeysByUnit keepers_;
  std::vector<uint32_t> own_experts_;
  uint32_t workers_lost_ = 0;
};

}  // namespace potluck
