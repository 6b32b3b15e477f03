// ScenarioDevices: the devices of a running scenario by number, whatever they are: workers with
// weights (SimWorker), or ones that only take their time (CostFleet). What happens to one of them
// is done here. Owned by ScenarioRun; one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulator/cost_fleet.h"
#include "simulator/pool_scenario.h"
#include "simulator/scenario_result.h"
#include "simulator/sim_pool.h"
#include "simulator/slow_peer.h"

namespace potluck::sim {

class ScenarioDevices {
 public:
  // `shape`: the model, if it has no weights; else null. All must outlive the object.
  ScenarioDevices(SimPool& pool, const PoolScenario& scenario, const ShapeModel* shape,
                  uint32_t slices, uint64_t seed);

  void add(const DeviceKind& kind);
  void add_all_of_scenario();
  size_t size() const { return names_.size(); }
  const std::string& name(size_t device) const { return names_.at(device); }
  const PeerKey& key(size_t device) const;
  bool running(size_t device) const;
  size_t running_count() const;
  // What each did; nothing for devices without weights.
  std::vector<DeviceReport> days() const;

  // Does it now, and schedules its end.
  void apply(const ScenarioEvent& event);
  // All lasting effects end, slow peers go, and what is to start again later starts now.
  void end_faults();
  // Everything that runs is a member, and has what it shall have.
  bool at_rest() const;

 private:
  std::vector<size_t> chosen(const ScenarioEvent& event);
  void apply_to(const ScenarioEvent& event, size_t device);
  void apply_to_body(const ScenarioEvent& event, SimWorker& worker);
  void apply_to_disk(const ScenarioEvent& event, SimWorker& worker);
  void join(const ScenarioEvent& event);
  void stop(size_t device, bool quietly, Duration lasts);
  void start(size_t device);
  void freeze(size_t device, Duration lasts, bool clock_stands_still);
  void throttle(size_t device, double factor);
  // After so long, unless it is zero.
  void later(Duration lasts, std::function<void()> act);

  SimPool& pool_;
  const PoolScenario& scenario_;
  CounterRandom random_;
  uint64_t draws_ = 0;
  CostFleet* fleet_ = nullptr;  // owned by the pool, as an actor
  std::vector<SlowPeer*> slow_peers_;
  std::vector<std::string> names_;
  std::vector<std::string> kinds_;          // by device
  std::map<std::string, uint32_t> counts_;  // by kind
  double cost_factor_ = 1;                  // as if weights had so many times their bytes
};

const char* name_of(EventKind kind);

}  // namespace potluck::sim
