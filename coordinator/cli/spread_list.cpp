#include "coordinator/cli/spread_list.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/spread_flags.h"
#include "engine/base/format_bytes.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kShownSource = 4096;  // the longest path

// Folders that are looked at: what lies there is the user's own, but need not be ours.
constexpr size_t kMostModels = 1000;

}  // namespace

std::vector<KeptModel> kept_models(const Environment& environment) {
  std::vector<KeptModel> models;
  const std::string directory = spread_models_directory();
  auto names = environment.storage.list(directory);
  if (!names) return models;
  for (const std::string& name : *names) {
    if (models.size() == kMostModels) break;
    SpreadFolder folder(environment.storage, fmt::format("{}/{}", directory, name));
    auto about = folder.about();
    if (!about) {
      if (about.error().code != ErrorCode::kNotFound) {
        environment.terminal.notice(about.error().message);
      }
      continue;
    }
    const bool complete = folder.complete();
    double known = complete ? 1 : 0;
    if (!complete && about->grains > 0) {
      known = static_cast<double>(folder.known_grains(about->layers)) /
              static_cast<double>(about->grains);
    }
    models.push_back({name, std::move(*about), complete, known});
  }
  return models;
}

nlohmann::json describe_kept(const KeptModel& model) {
  return {{"name", model.name},
          {"source", source_path(model.about.source)},
          {"whole_bytes", model.about.whole_bytes},
          {"kept_bytes", model.about.resident_bytes},
          {"expert_bytes", model.about.expert_bytes},
          {"replicas", model.about.replicas},
          {"complete", model.complete},
          {"read_share", model.known}};
}

std::string describe_line(const KeptModel& model) {
  const std::string state =
      model.complete ? "complete" : fmt::format("{:.0f} % read", 100 * model.known);
  return fmt::format(
      "{}  {} in all, {} kept here, {} of experts for the workers ({} copies), {}, from {}",
      model.name, format_bytes(model.about.whole_bytes), format_bytes(model.about.resident_bytes),
      format_bytes(model.about.expert_bytes), model.about.replicas, state,
      clean_text(source_path(model.about.source), kShownSource));
}

}  // namespace potluck
