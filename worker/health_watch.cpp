#include "worker/health_watch.h"

#include <ctime>

namespace potluck {

uint32_t local_minute(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm local = {};
  if (localtime_r(&time, &local) == nullptr) return 0;
  return static_cast<uint32_t>(local.tm_hour * 60 + local.tm_min);
}

std::optional<HealthReport> HealthWatch::look() {
  const TimePoint now = clock_.now();
  if (looked_at_ && now < *looked_at_ + kInterval) return std::nullopt;
  looked_at_ = now;
  const DeviceHealth health =
      options_.watched ? read_health(files_, options_.file) : DeviceHealth{};
  const HealthVerdict& verdict = policy_.judge(health, local_minute(clock_.unix_seconds()), now);
  HealthReport report;
  report.share = verdict.share;
  report.text = verdict.reason;
  report.battery_percent = health.battery_percent.value_or(HealthReport::kNoBattery);
  report.on_battery = health.on_battery;
  if (health.celsius) report.celsius = static_cast<int16_t>(*health.celsius);
  if (report == told_) return std::nullopt;
  told_ = report;
  return report;
}

}  // namespace potluck
