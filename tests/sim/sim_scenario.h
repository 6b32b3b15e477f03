// Scenarios: a pool, a network and a list of faults, all drawn from one seed, and what came of it.
// Plain functions; one thread.
#pragma once

#include <string>
#include <vector>

#include "simulator/sim_pool.h"

namespace potluck::sim {

struct Scenario {
  SimPoolOptions pool;
  GenerateOptions generate;
  size_t workers = 0;
  bool wait_until_ready = true;  // else generation starts while units are delivered
  std::vector<Fault> faults;
  struct LiarSpec {
    size_t worker = 0;
    LieKind kind = LieKind::kFlipBit;
    uint64_t one_in = 1;  // of its answers
  };
  std::optional<LiarSpec> liar{};

  std::string text() const;
};

Scenario draw_scenario(const SimModel& model, uint64_t seed);

struct ScenarioOutcome {
  std::string failure;  // empty: the run ended, and nothing happened that must not
  Generated generated;
  DispatchStatistics statistics;
  uint32_t workers_lost = 0;
  size_t running_workers = 0;
  Duration virtual_time{0};
  std::vector<std::string> log;
};

// Generates, ends the faults, and waits until the pool has come to rest.
ScenarioOutcome run_scenario(const SimModel& model, const Scenario& scenario);

}  // namespace potluck::sim
