// `potluck simulate`: a pool in virtual time. The coordinator's and the workers' cores and loops
// are the real ones; devices, links and faults are a scenario's, and everything else is drawn from
// a seed, so that a run can be repeated.
//
// Exit codes beside the usual ones: 3 an invariant does not hold (or the simulated program ended),
// 4 something that should have come did not, 5 other tokens than the solo run's, or an honest
// worker in quarantine.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "simulator/scenario_run.h"

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/isolated_run.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/scenario_file.h"
#include "coordinator/cli/simulation_report.h"

namespace potluck {
namespace {

constexpr uint64_t kMostSeeds = 1'000'000;
constexpr uint64_t kTraceBytes = 256 * kMiB;
// Without a file: three laptops on a switch, and what happens to laptops.
constexpr std::string_view kUsualScenario = R"(
[scenario]
name = "three laptops"
questions = 3
every = "10s"
[[device]]
name = "laptop"
count = 3
delay = "100us"
jitter = "100us"
[[event]]
at = "2s"
kind = "crash"
device = "laptop"
for = "5s"
[[event]]
at = "12s"
kind = "stall"
device = "laptop"
for = "3s"
)";

enum SimulationExit { kExitCrash = 3, kExitLiveness = 4, kExitCorrectness = 5 };

struct SimulateFlags {
  std::string scenario;
  std::string trace;
  uint64_t seed = 1;
  uint64_t seeds = 1;
  bool log = false;
  bool json = false;
};

// How to have this seed again.
std::string replay_command(const SimulateFlags& flags, uint64_t seed) {
  std::string command = "potluck simulate";
  if (!flags.scenario.empty()) command += " " + flags.scenario;
  command += fmt::format(" --seed {}", seed);
  if (!flags.trace.empty()) command += " --trace-file " + flags.trace;
  return command;
}

int exit_code_of(const std::string& verdict) {
  if (verdict == sim::name_of(sim::Verdict::kLiveness)) return kExitLiveness;
  if (verdict == sim::name_of(sim::Verdict::kCorrectness)) return kExitCorrectness;
  return kExitCrash;
}

Result<std::optional<sim::RouteTrace>> read_trace(const SimulateFlags& flags, Storage& storage) {
  if (flags.trace.empty()) return std::optional<sim::RouteTrace>();
  Result<ByteVector> bytes = read_file(storage, flags.trace, kTraceBytes);
  if (!bytes) return bytes.error();
  Result<sim::RouteTrace> trace = sim::read_route_trace(flags.trace, as_text(*bytes));
  if (!trace) return trace.error();
  return std::optional<sim::RouteTrace>(std::move(*trace));
}

// Of a process that ended by itself nothing else is known.
nlohmann::json describe_fatal_end(uint64_t seed, const std::string& how) {
  sim::ScenarioResult result;
  result.seed = seed;
  result.verdict = sim::Verdict::kCrash;
  result.failure = "the simulation " + how;
  return describe_simulation(result);
}

Result<nlohmann::json> run_seed(const sim::PoolScenario& scenario,
                                const sim::ScenarioModels& models, uint64_t seed) {
  Result<IsolatedEnd> end = run_isolated(
      [&] { return json_text(describe_simulation(sim::run_scenario(scenario, models, seed))); });
  if (!end) return end.error();
  if (!end->fatal.empty()) return describe_fatal_end(seed, end->fatal);
  return read_json(end->text);
}

bool is_fine(const nlohmann::json& run) {
  return run["verdict"] == sim::name_of(sim::Verdict::kFine);
}

void print_run(const SimulateFlags& flags, const nlohmann::json& run, Output& out) {
  if (flags.seeds == 1 || !is_fine(run)) {
    for (const std::string& line : simulation_lines(run, flags.log)) out.line(line);
    return;
  }
  out.line(fmt::format("seed {}: {:.3g} tokens/s, whole again after {:.3f} s",
                       run["seed"].get<uint64_t>(), run["tokens_per_second"].get<double>(),
                       run["whole_seconds"].get<double>()));
}

// The first seed that fails is the last one.
Status run_seeds(const SimulateFlags& flags, const sim::PoolScenario& scenario,
                 const sim::ScenarioModels& models, Environment& environment) {
  nlohmann::json runs = nlohmann::json::array();
  Status status;
  for (uint64_t i = 0; i < flags.seeds && status; ++i) {
    Result<nlohmann::json> run = run_seed(scenario, models, flags.seed + i);
    if (!run) return run.error();
    if (!is_fine(*run)) {
      auto verdict = (*run)["verdict"].get<std::string>();
      environment.failed = exit_code_of(verdict);
      std::string again = replay_command(flags, flags.seed + i);
      status = Error{ErrorCode::kRefused, fmt::format("{}: {} (replay with: {})", verdict,
                                                      (*run)["failure"].get<std::string>(), again)};
      (*run)["replay"] = again;
    }
    if (!flags.json) print_run(flags, *run, environment.out);
    if (!flags.log) run->erase("log");
    if (flags.json) runs.push_back(std::move(*run));
  }
  if (flags.json) environment.out.json({{"scenario", scenario.name}, {"runs", runs}});
  return status;
}

Status simulate(const SimulateFlags& flags, Environment& environment) {
  Result<sim::PoolScenario> scenario =
      flags.scenario.empty() ? parse_scenario("the usual scenario", kUsualScenario)
                             : read_scenario_file(environment.storage, flags.scenario);
  if (!scenario) return scenario.error();
  auto trace = read_trace(flags, environment.storage);
  if (!trace) return trace.error();
  Result<sim::ScenarioModels> models = sim::make_models(*scenario);
  if (!models) return models.error().in(scenario->name);
  if (*trace) models->trace = &**trace;
  return run_seeds(flags, *scenario, *models, environment);
}

}  // namespace

Command add_simulate(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<SimulateFlags>();
  CLI::App* parser =
      add_command(app, "simulate", "run a described pool in virtual time, with faults, repeatably");
  add_text(parser, "SCENARIO", &flags->scenario,
           "a TOML file of devices, faults and questions (default: three laptops, one of which "
           "crashes)");
  add_whole(parser, "--seed", &flags->seed, {0, ~uint64_t{0} >> 1},
            "of everything that the file leaves open (default 1)");
  add_whole(parser, "--seeds", &flags->seeds, {1, kMostSeeds},
            "run so many, from --seed on, until one fails (default 1)");
  add_text(parser, "--trace-file", &flags->trace,
           "routes of a real model, for scenarios without weights (default: drawn)");
  add_switch(parser, "--log", &flags->log, "everything that the coordinator told its people, too");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return simulate(*flags, environment); }};
}

}  // namespace potluck
