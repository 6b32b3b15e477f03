// `potluck plan`: what a pool would do with a model, before anything of it is fetched. The model's
// header is all that is read.
#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/first_offer.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/pool_forecast.h"
#include "coordinator/cli/status_pool.h"
#include "coordinator/cli/terminal.h"
#include "coordinator/plan/observed_correction.h"
#include "coordinator/plan/planner.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

struct PlanFlags {
  std::string model;
  std::string nodes;
  uint32_t slices = 0;
  uint32_t prefill_chunk = 512;
  int threads = 0;
  bool json = false;
  std::string prefer = "speed";
};

nlohmann::json describe_phase(const PhaseTime& time, double rate) {
  return {{"seconds", time.total()},
          {"tokens_per_second", rate},
          {"attention_seconds", time.attention},
          {"wire_seconds", time.wire},
          {"products_seconds", time.compute},
          {"disk_seconds", time.disk}};
}

nlohmann::json describe_devices(const DescribedPool& described, const Plan& plan) {
  nlohmann::json devices = nlohmann::json::array();
  for (size_t i = 0; i < described.names.size(); ++i) {
    devices.push_back({{"name", described.names[i]},
                       {"share", plan.shares.shares[i]},
                       {"left_out", plan.shares.left_out[i]},
                       {"ram_bytes", described.pool.devices[i].ram_bytes},
                       {"disk_bytes", described.pool.devices[i].disk_bytes},
                       {"facts", describe_facts(described.pool.devices[i])}});
  }
  return devices;
}

nlohmann::json describe_plan(const PlanModel& model, const DescribedPool& described,
                             const Plan& plan, const std::vector<WhatIf>& changes) {
  nlohmann::json what_if = nlohmann::json::array();
  for (const WhatIf& change : changes) {
    what_if.push_back({{"change", change.change},
                       {"decode_tokens_per_second", change.decode_rate},
                       {"prefill_tokens_per_second", change.prefill_rate}});
  }
  double alone = plan.prefill_rows / plan.prefill_alone.total();
  return {{"model", model.name},
          {"expert_bytes", static_cast<uint64_t>(model.bank_bytes())},
          {"slices", plan.slices},
          {"decode", describe_phase(plan.decode, plan.decode_rate())},
          {"prefill", describe_phase(plan.prefill, plan.prefill_rate())},
          {"prefill_rows", plan.prefill_rows},
          {"prefill_best", {{"slices", plan.prefill_slices}, {"tokens_per_second", alone}}},
          {"bottleneck", plan.bottleneck},
          {"unplaced_share", plan.unplaced},
          {"devices", describe_devices(described, plan)},
          {"what_if", what_if}};
}

std::string terms(const PhaseTime& time) {
  auto ms = [](double seconds) { return fmt::format("{:.1f} ms", seconds * 1e3); };
  return fmt::format("attention {}, network {}, products {}, disks {}", ms(time.attention),
                     ms(time.wire), ms(time.compute), ms(time.disk));
}

void print_devices(const DescribedPool& described, const Plan& plan, Output& out) {
  for (size_t i = 0; i < described.names.size(); ++i) {
    if (plan.shares.shares[i] > 0) {
      out.line(fmt::format("  {:<20} {:5.1f} % of every layer", described.names[i],
                           100 * plan.shares.shares[i]));
    } else if (!plan.shares.left_out[i].empty()) {
      out.line(fmt::format("  {:<20} left out: {}", described.names[i], plan.shares.left_out[i]));
    }
  }
}

void print_plan(const PlanModel& model, const DescribedPool& described, const Plan& plan,
                const std::vector<WhatIf>& changes, Output& out) {
  out.line(fmt::format("{}: {} of experts; {} devices, --slices {}", model.name,
                       format_bytes(static_cast<uint64_t>(model.bank_bytes())),
                       described.names.size(), plan.slices));
  out.line(fmt::format("answers  {:.2f} tokens/s: {}", plan.decode_rate(), terms(plan.decode)));
  out.line(fmt::format("prompts  {:.1f} tokens/s: {} for {} tokens", plan.prefill_rate(),
                       terms(plan.prefill), plan.prefill_rows));
  double alone = plan.prefill_rows / plan.prefill_alone.total();
  if (plan.prefill_slices != plan.slices && alone > 1.05 * plan.prefill_rate()) {
    out.line(fmt::format("prompts alone would be read faster with --slices {}: {:.1f} tokens/s",
                         plan.prefill_slices, alone));
  }
  if (!plan.bottleneck.empty()) out.line("what takes longest: " + plan.bottleneck);
  print_devices(described, plan, out);
  if (plan.unplaced > 0.001) {
    out.line(fmt::format("{:.0f} % of the experts fit on no device: give more --disk",
                         100 * plan.unplaced));
  }
  for (const WhatIf& change : changes) {
    out.line(fmt::format("with {}: {:.2f} tokens/s, prompts {:.1f}", change.change,
                         change.decode_rate, change.prefill_rate));
  }
}

// Of a file, or of a published model that nothing is here of.
Result<PlanModel> model_to_plan(const std::string& name, const Environment& environment) {
  auto found = path_or_published(name, environment);
  if (!found) return found.error();
  if (const auto* path = std::get_if<std::string>(&*found)) {
    return read_plan_model(environment.storage, *path);
  }
  const auto& file = std::get<PublishedFile>(*found);
  return plan_model(file.tensors, file.config, file.banks);
}

Status plan(const PlanFlags& flags, const Environment& environment) {
  Result<PlanModel> model = model_to_plan(flags.model, environment);
  if (!model) return model.error();
  Result<DescribedPool> described = pool_to_plan(flags.nodes, environment);
  if (!described && flags.nodes.empty() && described.error().code == ErrorCode::kNotFound) {
    environment.terminal.notice(
        "no pool has run here and no --nodes FILE is given: for this machine alone, whose disk is "
        "not measured");
    described = machine_alone(*model, flags.threads, environment);
    if (!described) return described.error().in(model->name);
  }
  if (!described) return described.error();
  if (!described->has_coordinator) {
    described->pool.coordinator.products =
        measure_coordinator_products(*model, flags.threads, environment);
  }
  if (!described->held.empty()) {
    described->pool = with_assumptions(described->pool);
    correct_by_observation(*model, described->held, &described->pool);
  }
  PlannerOptions options;
  options.slices = flags.slices > 0 ? flags.slices : described->slices;
  options.prefill_rows = flags.prefill_chunk;
  options.prefer = chosen_preference(flags.prefer);
  Plan made = make_plan(*model, described->pool, described->names, options);
  std::vector<WhatIf> changes = what_ifs(*model, described->pool, described->names, options);
  if (flags.json) {
    environment.out.json(describe_plan(*model, *described, made, changes));
  } else {
    print_plan(*model, *described, made, changes, environment.out);
  }
  return {};
}

}  // namespace

Command add_plan(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* parser =
      add_command(app, "plan", "predict how fast a pool runs a model, and what would help");
  add_text(parser, "MODEL", &flags->model, kModelOrShapeHelp).required();
  add_text(parser, "--nodes", &flags->nodes,
           "a TOML file that describes the devices (default: the workers of this machine's "
           "coordinator, or else this machine alone)")
      .envname("POTLUCK_NODES");
  add_whole(parser, "--slices", &flags->slices, {1, limits::kSlices},
            "slices each expert is cut into (default: as many as the pool that runs has, else as "
            "many as is best)");
  add_prefer_flag(parser, &flags->prefer);
  add_whole(parser, "--prefill-chunk", &flags->prefill_chunk, {1, limits::kPrefillChunk},
            "prompt tokens per step (default 512)");
  add_whole(parser, "--threads", &flags->threads, {0, limits::kThreads},
            "threads of this machine as the coordinator (default, 0: one per processor that may be "
            "used)")
      .envname("POTLUCK_THREADS");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return plan(*flags, environment); }};
}

}  // namespace potluck
