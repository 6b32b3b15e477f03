// `potluck list`: the models on this machine, whichever program fetched them, whether Potluck can
// run each, and how fast the pool would, by the same plan as `potluck plan`.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/pool_forecast.h"
#include "coordinator/cli/spread_list.h"
#include "coordinator/cli/status_pool.h"
#include "coordinator/plan/planner.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kShownProblem = 300;

struct ListFlags {
  std::string nodes;
  int threads = 0;
  bool published = false;
  bool json = false;
};

struct ListedModel {
  FoundModel found;
  std::string problem;     // why it cannot be run; empty: it can
  double decode_rate = 0;  // tokens a second; 0: no pool is known
  double prefill_rate = 0;
};

// A plan for a model with what is known of the pool.
void forecast(const PlanModel& model, const DescribedPool& described, const ListFlags& flags,
              const Environment& environment, ListedModel* listed) {
  PlanPool pool = described.pool;
  if (!described.has_coordinator) {
    pool.coordinator.products = measure_coordinator_products(model, flags.threads, environment);
  }
  PlannerOptions options;
  options.slices = described.slices;
  const Plan plan = make_plan(model, pool, described.names, options);
  if (plan.unplaced > 0.001) {
    listed->problem =
        fmt::format("{:.0f} % of its experts fit on no device of the pool", 100 * plan.unplaced);
    return;
  }
  listed->decode_rate = plan.decode_rate();
  listed->prefill_rate = plan.prefill_rate();
}

// Reads the header of the file, if the listing found nothing wrong with it.
ListedModel look_at(FoundModel found, const DescribedPool* described, const ListFlags& flags,
                    const Environment& environment) {
  ListedModel listed{std::move(found), {}, 0, 0};
  listed.problem = listed.found.trouble;
  if (!listed.problem.empty()) return listed;
  auto model = read_plan_model(environment.storage, listed.found.path());
  if (!model) {
    listed.problem = model.error().message;
  } else if (described != nullptr) {
    forecast(*model, *described, flags, environment, &listed);
  }
  return listed;
}

nlohmann::json describe_speed(const ListedModel& model) {
  if (model.decode_rate == 0) return nullptr;
  return {{"decode_tokens_per_second", model.decode_rate},
          {"prefill_tokens_per_second", model.prefill_rate}};
}

nlohmann::json describe_listed(const ListedModel& model) {
  return {{"name", model.found.name},   {"from", std::string(place_name(model.found.kind))},
          {"path", model.found.path()}, {"files", model.found.paths.size()},
          {"bytes", model.found.bytes}, {"usable", model.problem.empty()},
          {"problem", model.problem},   {"forecast", describe_speed(model)}};
}

std::string state_of(const ListedModel& model, std::string_view otherwise) {
  if (!model.problem.empty()) return clean_text(model.problem, kShownProblem);
  if (model.decode_rate == 0) return std::string(otherwise);
  return fmt::format("about {:.1f} tokens/s, prompts {:.0f}", model.decode_rate,
                     model.prefill_rate);
}

void print_listed(const ListedModel& model, Output& out) {
  const std::string state = state_of(model, "can be run");
  out.line(fmt::format("{}  {}  {}  {}", model.found.name, format_bytes(model.found.bytes),
                       place_name(model.found.kind), state));
}

// What `plan` and `show` know without a file, each in the quantization that most people take.
Status list_published(const ListFlags& flags, const Environment& environment) {
  auto described = pool_to_plan(flags.nodes, environment);
  if (!described && !flags.nodes.empty()) return described.error();
  nlohmann::json models = nlohmann::json::array();
  for (const std::string& name : published_names()) {
    const Result<PublishedFile> file = find_published(name);
    if (!file) return file.error();
    ListedModel listed;
    listed.found.bytes = file->bytes();
    if (described) {
      const PlanModel model = plan_model(file->tensors, file->config, file->banks);
      forecast(model, *described, flags, environment, &listed);
    }
    if (flags.json) {
      models.push_back({{"name", name},
                        {"title", file->model->title},
                        {"quantization", file->format},
                        {"bytes", listed.found.bytes},
                        {"source", file->model->source},
                        {"problem", listed.problem},
                        {"forecast", describe_speed(listed)}});
    } else {
      environment.out.line(fmt::format("{}  {}  {}  {}", name, file->format,
                                       format_bytes(listed.found.bytes), state_of(listed, "")));
    }
  }
  if (flags.json) environment.out.json({{"published", std::move(models)}});
  return {};
}

Status list_models(const ListFlags& flags, const Environment& environment) {
  if (flags.published) return list_published(flags, environment);
  ModelCatalog catalog = read_catalog(environment.storage, own_model_places());
  for (const std::string& note : catalog.notes) environment.terminal.notice(note);
  auto described = pool_to_plan(flags.nodes, environment);
  // Without a pool the models are worth a list all the same.
  if (!described && !flags.nodes.empty()) return described.error();
  const std::vector<KeptModel> kept = kept_models(environment);
  nlohmann::json models = nlohmann::json::array();
  for (FoundModel& found : catalog.models) {
    if (environment.stop.requested()) return Error{ErrorCode::kCancelled, "stopped"};
    const ListedModel listed =
        look_at(std::move(found), described ? &*described : nullptr, flags, environment);
    if (flags.json) {
      models.push_back(describe_listed(listed));
    } else {
      print_listed(listed, environment.out);
    }
  }
  if (flags.json) {
    nlohmann::json spread = nlohmann::json::array();
    for (const KeptModel& model : kept) spread.push_back(describe_kept(model));
    environment.out.json({{"models", std::move(models)}, {"spread", std::move(spread)}});
    return {};
  }
  for (const KeptModel& model : kept) environment.out.line(describe_line(model));
  if (catalog.models.empty() && kept.empty()) {
    environment.terminal.notice("no model is on this machine yet: potluck pull USER/REPO:QUANT");
  } else if (!described) {
    environment.terminal.notice(
        "with a pool that has run (potluck serve), or --nodes FILE, the list says how fast it "
        "would be with each");
  }
  return {};
}

}  // namespace

Command add_list(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<ListFlags>();
  CLI::App* parser = add_command(
      app, "list",
      "models on this machine, whichever program fetched them, and how fast the pool would be");
  add_text(parser, "--nodes", &flags->nodes,
           "a TOML file that describes the devices (default: the workers of this machine's "
           "coordinator)")
      .envname("POTLUCK_NODES");
  add_whole(parser, "--threads", &flags->threads, {0, limits::kThreads},
            "threads of this machine as the coordinator (default, 0: one per processor that may be "
            "used)")
      .envname("POTLUCK_THREADS");
  add_switch(parser, "--published", &flags->published,
             "instead, the published models whose sizes plan and show know without a file");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return list_models(*flags, environment); }};
}

}  // namespace potluck
