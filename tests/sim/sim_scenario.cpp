#include "tests/sim/sim_scenario.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck::sim {
namespace {

// Delivering the small model takes well under a second; a minute is a pool that hangs.
constexpr Duration kUntilReady = std::chrono::minutes(1);
// Silence, greeting again, fetching again with its pauses.
constexpr Duration kUntilRest = std::chrono::minutes(2);

Fault draw_fault(const CounterRandom& random, uint64_t index, size_t workers) {
  constexpr FaultKind kKinds[] = {
      FaultKind::kKill,   FaultKind::kKill,    FaultKind::kVanish,  FaultKind::kRestart,
      FaultKind::kFreeze, FaultKind::kCorrupt, FaultKind::kFlipBit, FaultKind::kNewcomer,
  };
  Fault fault;
  fault.kind = kKinds[random.bits(index, 0) % std::size(kKinds)];
  fault.at_compute = 1 + random.bits(index, 1) % 100;
  fault.worker = random.bits(index, 2) % workers;
  fault.duration = std::chrono::milliseconds(20 + random.bits(index, 3) % 6000);
  return fault;
}

}  // namespace

std::string Scenario::text() const {
  std::string text = fmt::format(
      "seed {}: {} workers, {} replicas, {} slices, verify {}, prompt of {} in chunks of {}, {} "
      "more "
      "tokens, mean delay {} us{}",
      pool.seed, workers, pool.replicas, pool.slices, static_cast<int>(pool.verify),
      generate.prompt.size(), generate.prefill_chunk, generate.tokens,
      pool.link.mean_delay.count() / 1000, wait_until_ready ? "" : ", not ready at the start");
  return text;
}

Scenario draw_scenario(const SimModel& model, uint64_t seed) {
  CounterRandom random(seed);
  Scenario scenario;
  scenario.pool.seed = seed;
  scenario.pool.slices = 1u << random.bits(0, 0) % 3;
  scenario.pool.threads = 1 + static_cast<int>(random.bits(0, 1) % 2);
  scenario.pool.link.mean_delay = std::chrono::microseconds(50 + random.bits(0, 2) % 3000);
  // From one grain at a time up to everything.
  scenario.pool.worker_ram_bytes = (256 << random.bits(0, 3) % 5) * kKiB;
  scenario.workers = 1 + random.bits(0, 4) % 5;
  scenario.wait_until_ready = random.bits(0, 5) % 4 != 0;
  scenario.generate.prompt = model.prompt(12);
  scenario.generate.tokens = 10;
  constexpr uint32_t kChunks[] = {1, 5, 512};
  scenario.generate.prefill_chunk = kChunks[random.bits(0, 6) % std::size(kChunks)];
  scenario.pool.replicas = 1 + static_cast<uint32_t>(random.bits(0, 8) % 3);
  constexpr VerifyMode kModes[] = {VerifyMode::kSample, VerifyMode::kSample, VerifyMode::kAll,
                                   VerifyMode::kOff};
  scenario.pool.verify = kModes[random.bits(0, 9) % std::size(kModes)];
  uint64_t faults = random.bits(0, 7) % 5;
  for (uint64_t i = 0; i < faults; ++i) {
    scenario.faults.push_back(draw_fault(random, 1 + i, scenario.workers));
  }
  return scenario;
}

ScenarioOutcome run_scenario(const SimModel& model, const Scenario& scenario) {
  SimPool pool(model, scenario.pool);
  ScenarioOutcome outcome;
  auto fail = [&](std::string what) {
    if (outcome.failure.empty()) outcome.failure = std::move(what);
  };
  for (size_t i = 0; i < scenario.workers; ++i) pool.add_worker();
  for (const Fault& fault : scenario.faults) pool.add_fault(fault);
  if (auto liar = scenario.liar) pool.make_liar(liar->worker, liar->kind, liar->one_in);
  auto at_rest = [&] { return pool.at_rest(); };
  if (scenario.wait_until_ready && !pool.run_until(at_rest, kUntilReady)) {
    fail("the workers did not become ready");
  }
  auto generated = model.generate(scenario.generate, pool.threads(), pool.executor());
  if (generated) {
    outcome.generated = std::move(*generated);
  } else {
    fail("generation failed: " + generated.error().message);
  }
  if (pool.core().dispatcher().has_tickets()) fail("a piece of work has no owner");
  pool.end_faults();
  // Answers that came second, and are awaited only to be compared.
  auto settled = [&] { return !pool.core().dispatcher().next_deadline(); };
  if (!pool.run_until(settled, kUntilReady)) fail("an answer is awaited without end");
  if (!pool.run_until(at_rest, kUntilRest)) fail("the pool did not come to rest");
  if (!pool.violations().empty()) fail(pool.violations().front());
  outcome.statistics = pool.core().dispatcher().statistics();
  outcome.workers_lost = pool.core().cluster().workers_lost();
  outcome.running_workers = pool.running_workers();
  outcome.virtual_time = pool.clock().now();
  outcome.log = pool.log();
  return outcome;
}

}  // namespace potluck::sim
