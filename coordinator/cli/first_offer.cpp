#include "coordinator/cli/first_offer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/doctor_probes.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/pool_forecast.h"
#include "coordinator/cli/spread_flags.h"
#include "coordinator/plan/planner.h"
#include "coordinator/runtime/memory_plan.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

constexpr double kLoopbackTrip = 60e-6;  // seconds
constexpr double kLoopbackRate = 2e9;
constexpr uint64_t kAnswersBytes = 64 * kKiB;
constexpr uint64_t kScratchGuess = 128 * kMiB;  // of a process, with a short context

// What every token uses, beside experts.
uint64_t resident_bytes(const PlanModel& model) {
  double bytes = total_bytes(model.head);
  for (const PlanLayer& layer : model.layers) {
    bytes += layer.count * (total_bytes(layer.dense) + total_bytes(layer.shared));
  }
  return static_cast<uint64_t>(bytes);
}

void judge_offer(const Environment& environment, OfferedModel* offer) {
  if (offer->model.spread || !offer->model.here) return;
  auto model = read_plan_model(environment.storage, offer->model.path);
  if (!model) {
    offer->obstacle = model.error().message;
    return;
  }
  const Result<DescribedPool> alone = machine_alone(*model, 0, environment);
  if (!alone) {
    offer->obstacle = alone.error().message;
    return;
  }
  offer->from_disk = model->bank_bytes() > static_cast<double>(alone->pool.devices[0].ram_bytes);
  const Plan plan = make_plan(*model, alone->pool, alone->names, PlannerOptions());
  if (plan.decode_rate() > 0) offer->tokens_per_second = plan.decode_rate();
}

std::string answers_path() {
  return own_directories().state + "/first-run.json";
}

// A file that is missing or damaged says nothing.
FirstAnswers last_answers(Storage& storage) {
  FirstAnswers answers;
  auto bytes = read_file(storage, answers_path(), kAnswersBytes);
  if (!bytes) return answers;
  auto read = read_json(as_text(*bytes));
  if (!read || !read->is_object()) return answers;
  answers.model = text_field(*read, "model", "");
  answers.listen = text_field(*read, "listen", "");
  answers.who = static_cast<uint32_t>(std::clamp<int64_t>(whole_field(*read, "who"), 1, 3));
  return answers;
}

void keep_answers(const FirstAnswers& answers, const Environment& environment) {
  Storage& storage = environment.storage;
  const std::string text =
      json_text({{"model", answers.model}, {"who", answers.who}, {"listen", answers.listen}});
  Status kept = storage.make_directories(own_directories().state);
  if (kept) kept = storage.write_atomic(answers_path(), as_bytes(text), 0600);
  if (!kept) environment.terminal.notice("the answers are not kept: " + kept.error().message);
}

}  // namespace

// The coordinator and a worker process, as the commands start them.
Result<DescribedPool> machine_alone(const PlanModel& model, int threads,
                                    const Environment& environment) {
  const MemoryBound available = process_limits(environment.system).available;
  const uint64_t needed = resident_bytes(model) + kWorkerBytes + kScratchGuess;
  if (available.bytes < needed) {
    return Error{ErrorCode::kLimit,
                 fmt::format("needs {} of memory, {} can be had ({})", format_bytes(needed),
                             format_bytes(available.bytes), available.source)};
  }
  DescribedPool described;
  described.has_coordinator = true;
  described.names = {"this machine"};
  described.pool.coordinator.products = measure_coordinator_products(model, threads, environment);
  DeviceFacts worker = described.pool.coordinator;
  worker.ram_bytes = available.bytes - needed;
  worker.disk_bytes = static_cast<uint64_t>(model.bank_bytes()) + 1;
  worker.round_trip = kLoopbackTrip;
  worker.link_rate = kLoopbackRate;
  described.pool.devices.push_back(std::move(worker));
  described.pool = with_assumptions(described.pool);
  return described;
}

std::vector<OfferedModel> offer_models(const std::vector<const ModelSource*>& sources,
                                       const Environment& environment) {
  std::vector<OfferedModel> offered;
  for (const ModelSource* source : sources) {
    for (NamedModel& model : source->models()) {
      OfferedModel offer;
      offer.model = std::move(model);
      judge_offer(environment, &offer);
      offered.push_back(std::move(offer));
    }
  }
  std::stable_partition(offered.begin(), offered.end(),
                        [](const OfferedModel& offer) { return offer.obstacle.empty(); });
  return offered;
}

Result<std::vector<std::string>> run_first_questions(const Environment& environment) {
  Terminal& terminal = environment.terminal;
  Storage& storage = environment.storage;
  StopSignal::Watch watch(environment.stop);
  SystemProbes probes(environment.clock);
  auto port_free = [&](uint16_t port) { return probes.port_free(port, false).value_or(true); };
  const SpreadModels spread(storage, spread_models_directory());
  const FolderModels here(storage, ".");
  const CatalogModels elsewhere(storage, own_model_places());
  terminal.notice(
      "Potluck: three questions; Enter takes what stands in brackets. `potluck --help` "
      "lists all commands.");
  const std::vector<OfferedModel> offered = offer_models({&here, &elsewhere, &spread}, environment);
  const auto input = standard_input(terminal);
  const FirstRunSeams seams{*input, [&](const std::string& line) { terminal.notice(line); },
                            [&] { return !environment.stop.requested(); },
                            [&](const std::string& path) { return storage.exists(path); },
                            port_free};
  const auto answers = ask_first_run(offered, last_answers(storage), seams);
  if (!answers) return Error{ErrorCode::kCancelled, "stopped before all questions were answered"};
  keep_answers(*answers, environment);
  std::vector<std::string> arguments = first_command(*answers, port_free);
  terminal.notice("$ " + shell_line(arguments));
  return arguments;
}

}  // namespace potluck
