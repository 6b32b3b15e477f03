// Everything that the simulator can do to a pool, several of it at once, drawn from a seed: the
// text is the same, nothing waits for ever, no honest worker is put into quarantine, and the pool
// is whole again afterwards. POTLUCK_SIM_SEED=n runs seed n alone; POTLUCK_SIM_RUNS=n runs 1 to n.
#include <algorithm>

#include <gtest/gtest.h>

#include "simulator/scenario_run.h"

#include "tests/sim/seed_range.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kAllFaultsSeeds = 50;
constexpr uint64_t kEventKinds = static_cast<uint64_t>(EventKind::kCoordinatorStall) + 1;

class FaultDraws {
 public:
  explicit FaultDraws(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t bound) { return random_.bits(next_++) % bound; }
  bool one_in(uint64_t count) { return below(count) == 0; }
  Duration up_to(Duration most) {
    return Duration(static_cast<Duration::rep>(below(static_cast<uint64_t>(most.count()) + 1)));
  }

 private:
  CounterRandom random_;
  uint64_t next_ = 0;
};

LinkOptions draw_link(FaultDraws& draws) {
  LinkOptions link;
  link.least_delay = milliseconds(1) + draws.up_to(milliseconds(3));
  link.mean_delay = draws.up_to(milliseconds(4));
  link.bytes_per_second = 2'000'000 << draws.below(6);
  if (draws.one_in(2)) link.loss = 0.002 * static_cast<double>(draws.below(10));
  // Worse than a stream may be.
  if (draws.one_in(4)) link.duplicated = 0.02;
  if (draws.one_in(4)) link.overtaken = 0.02;
  if (draws.one_in(3)) link.air = 1;
  return link;
}

ScenarioEvent draw_event(FaultDraws& draws, const PoolScenario& scenario) {
  ScenarioEvent event;
  event.kind = static_cast<EventKind>(draws.below(kEventKinds));
  event.at = draws.up_to(std::chrono::seconds(20));
  event.lasts = milliseconds(20) + draws.up_to(std::chrono::seconds(8));
  event.device =
      draws.one_in(8) ? "*" : scenario.devices[draws.below(scenario.devices.size())].name;
  event.count = 1 + draws.below(3);
  event.factor = 1 + static_cast<double>(draws.below(8));
  event.lie = static_cast<LieKind>(draws.below(4));
  if (event.kind == EventKind::kJoin) event.device = scenario.devices.front().name;
  return event;
}

PoolScenario draw_everything(uint64_t seed) {
  FaultDraws draws(seed);
  PoolScenario scenario;
  scenario.model.layers = 3;
  scenario.replicas = 1 + static_cast<uint32_t>(draws.below(3));
  scenario.slices = 1u << draws.below(3);
  constexpr VerifyMode kModes[] = {VerifyMode::kSample, VerifyMode::kSample, VerifyMode::kAll};
  scenario.verify = kModes[draws.below(3)];
  scenario.attention = draws.up_to(milliseconds(2));
  uint64_t kinds = 1 + draws.below(3);
  for (uint64_t i = 0; i < kinds; ++i) {
    DeviceKind kind;
    kind.name = std::string(1, static_cast<char>('a' + i));
    kind.count = 1 + static_cast<uint32_t>(draws.below(2));
    kind.ram_bytes = (256 << draws.below(6)) * kKiB;
    kind.disk_bytes = kGiB;
    kind.disk_rate = 20'000'000 << draws.below(6);
    kind.products = 50'000'000 << draws.below(8);
    kind.link = draw_link(draws);
    scenario.devices.push_back(kind);
  }
  uint64_t events = 2 + draws.below(9);
  for (uint64_t i = 0; i < events; ++i) {
    scenario.events.push_back(draw_event(draws, scenario));
    // A sample finds a liar sooner or later; until then its answers count (SECURITY.md).
    if (scenario.events.back().kind == EventKind::kLie) scenario.verify = VerifyMode::kAll;
  }
  std::sort(scenario.events.begin(), scenario.events.end(),
            [](const ScenarioEvent& a, const ScenarioEvent& b) { return a.at < b.at; });
  scenario.questions = 4;
  scenario.every = std::chrono::seconds(6);
  scenario.tokens = 8;
  return scenario;
}

// One model for all: they are of one shape.
const ScenarioModels& all_faults_models() {
  static const ScenarioModels models = *make_models(draw_everything(1));
  return models;
}

ScenarioResult run_everything(uint64_t seed) {
  ScenarioResult result = run_scenario(draw_everything(seed), all_faults_models(), seed);
  EXPECT_EQ(result.failure, "") << name_of(result.verdict);
  if (result.verdict != Verdict::kFine) {
    std::string log;
    for (const std::string& line : result.log) log += line + "\n";
    ADD_FAILURE() << "replay with POTLUCK_SIM_SEED=" << seed << "\n" << log;
  }
  return result;
}

TEST(AllFaultsSim, SeededFaults) {
  SeedRange seeds = seeds_to_run(kAllFaultsSeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    run_everything(seed);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(AllFaultsSim, TheSameSeedTakesTheSameCourse) {
  ScenarioResult first = run_everything(7);
  ScenarioResult second = run_everything(7);
  EXPECT_EQ(first.log, second.log);
  EXPECT_EQ(first.virtual_time, second.virtual_time);
  EXPECT_EQ(first.tokens, second.tokens);
}

}  // namespace
}  // namespace potluck::sim
