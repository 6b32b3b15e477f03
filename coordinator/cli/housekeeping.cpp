#include "coordinator/cli/housekeeping.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/announcement.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_picture.h"
#include "coordinator/cli/status_file.h"

namespace potluck {
namespace {

constexpr Duration kStatusInterval = std::chrono::seconds(1);

// What the status says of it; nothing where it says nothing.
std::optional<double> expected_rate(const nlohmann::json& status) {
  const nlohmann::json& prediction = status.at("prediction");
  if (!prediction.is_object()) return std::nullopt;
  return prediction.value("decode_tokens_per_second", 0.0);
}

}  // namespace

Housekeeping::Housekeeping(Runtime& runtime, PoolMetrics& metrics, DashboardRoutes& dashboard,
                           const EventHistory& events, const PoolOptions& pool,
                           const Environment& environment)
    : runtime_(runtime),
      metrics_(metrics),
      dashboard_(dashboard),
      reporter_(&runtime, &events, environment),
      environment_(environment),
      state_directory_(pool.state_directory) {}

void Housekeeping::look() {
  look_at_invitations();
  environment_.terminal.sum_up();
  const TimePoint now = environment_.clock.now();
  if (status_at_ && now < *status_at_ + kStatusInterval) return;
  status_at_ = now;
  nlohmann::json status = reporter_.status(dashboard_.watched());
  auto service = read_json(dashboard_.service());
  if (service) history_.add(sample_of(status, *service));
  PoolFigures figures = pool_figures(runtime_);
  figures.expected_tokens_per_second = expected_rate(status);
  figures.power = pool_power(figures.view.devices, history_.tokens_per_second());
  status["power"] = describe_power(figures.power);
  metrics_.update(std::move(figures));
  if (dashboard_.enabled()) dashboard_.publish({json_text(status), reporter_.map()});
  // The dashboard has it beside the pool, for it is there before the pool is.
  if (service) status["service"] = std::move(*service);
  write_files(status);
}

void Housekeeping::write_files(const nlohmann::json& status) {
  Status written = write_status(environment_.storage, state_directory_, status);
  if (written && reporter_.map_version() != map_written_) {
    written = write_map(environment_.storage, state_directory_, reporter_.map());
    if (written) map_written_ = reporter_.map_version();
  }
  report_written(written);
}

// Without one, a device can join only with its owner's help.
void Housekeeping::look_at_invitations() {
  const bool open = runtime_.pool()->open_invitations() > 0;
  if (had_invitations_ && !open) {
    environment_.terminal.notice(
        fmt::format("no invitation is open any more; for another one, type: {}", kInvite));
  }
  had_invitations_ = open;
}

// Once for each change: it is written every second, and what a command itself says is not limited.
void Housekeeping::report_written(const Status& written) {
  if (written.ok() == status_written_) return;
  status_written_ = written.ok();
  if (written) {
    environment_.terminal.notice("the status file can be written again");
  } else {
    environment_.terminal.error("the status file cannot be written: " + written.error().message);
  }
}

}  // namespace potluck
