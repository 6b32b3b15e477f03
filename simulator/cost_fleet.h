// CostFleet: the workers of a pool whose model has no weights. Each of them says what a worker
// says, holds the units that it is assigned, and answers work after as long as a device of its kind
// would take. The sums mean nothing, but those of the same calls are the same, however the calls
// were divided among workers. The coordinator that they talk to is the real one. One thread.
#pragma once

#include <functional>
#include <map>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "simulator/cost_device.h"
#include "simulator/shape_model.h"
#include "simulator/sim_actor.h"

namespace potluck::sim {

class CostFleet final : public SimActor {
 public:
  using Note = std::function<void(const std::string& text)>;

  // References must outlive the object. `note` is told what people should read.
  CostFleet(const ShapeModel& model, uint32_t slices, const PeerKey& coordinator,
            const ManualClock& clock, SimNetwork& network, Note note);

  // A device that has the pool's key on its list (SimPool::allow()), and starts now. What it is
  // assigned first lies on its disk already.
  size_t add(const std::string& name, const DeviceKind& kind, const PeerKey& key);

  size_t size() const { return devices_.size(); }
  const std::string& name(size_t device) const { return devices_.at(device).name; }
  const PeerKey& key_of(size_t device) const { return devices_.at(device).key; }
  bool running(size_t device) const { return devices_.at(device).running; }
  bool is_member(size_t device) const { return devices_.at(device).epoch != 0; }
  void end(size_t device, bool quietly);
  void start(size_t device);
  void freeze(size_t device, TimePoint until);
  void throttle(size_t device, double factor) { devices_.at(device).cost.throttle(factor); }

  // No device's: see is().
  const PeerKey& key() const override { return no_key_; }
  bool is(const PeerKey& other) const override { return index_.contains(other); }
  TimePoint next_act() const override;
  void act() override;
  void hear(const NetworkMessage& sent) override;

 private:
  struct Device {
    std::string name;
    PeerKey key;
    DeviceKind kind;
    CostDevice cost;
    bool running = false;
    uint64_t life = 0;
    uint64_t epoch = 0;  // of the pool that it is a member of; 0: of none
    uint64_t version = 0;
    uint64_t beats = 0;
    bool assigned_before = false;
    TimePoint frozen_until{0};
    TimePoint fetching_until{0};
    std::set<UnitId> assigned;
    std::set<UnitId> stored;
  };
  enum class Task { kBeat, kReady, kAnswer };
  struct Due {
    TimePoint at{0};
    uint64_t number = 0;
    size_t device = 0;
    uint64_t life = 0;
    Task task = Task::kBeat;
    std::vector<UnitId> units{};  // that are there by then
    Partial answer{};
    std::vector<size_t> calls{};  // that it answers, of each row

    bool operator>(const Due& other) const {
      return std::tie(at, number) > std::tie(other.at, other.number);
    }
  };

  void put(Due due, size_t device);
  void run(Due& due);
  void beat(Device& device);
  void greet(Device& device);
  void on_message(size_t index, const Message& message);
  void on_welcome(Device& device, const Welcome& welcome);
  void on_assignment(size_t index, const Assignment& assignment);
  void on_compute(size_t index, const Compute& request);
  void report_ready(Device& device, const std::vector<UnitId>& units);
  void send(Device& device, const Message& message, ByteVector tensor = {});
  const ByteVector& sums_of(const std::vector<size_t>& calls);

  const ShapeModel& model_;
  uint32_t slices_;
  PeerKey coordinator_;
  PeerKey no_key_{};
  const ManualClock& clock_;
  SimNetwork& network_;
  Note note_;
  std::vector<KernelDigest> kernels_;
  std::vector<Device> devices_;
  std::map<PeerKey, size_t> index_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::map<std::vector<size_t>, ByteVector> sums_;  // packed, by the calls of each row
  uint64_t next_number_ = 0;
};

}  // namespace potluck::sim
