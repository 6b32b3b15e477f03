#include "worker/health_watch.h"

#include <ctime>

namespace potluck {

uint32_t local_minute(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm local = {};
  if (localtime_r(&time, &local) == nullptr) return 0;
  return static_cast<uint32_t>(local.tm_hour * 60 + local.tm_min);
}

std::optional<HealthReport> HealthWatch::look(const OwnUse& own) {
  const TimePoint now = clock_.now();
  if (looked_at_ && now < *looked_at_ + kMemoryInterval) return std::nullopt;
  looked_at_ = now;
  if (!condition_at_ || now >= *condition_at_ + kInterval) look_at_condition(now);
  HealthReport report = condition_;
  report.use = use_at_present(own, now);
  if (report == told_) return std::nullopt;
  told_ = report;
  return report;
}

void HealthWatch::look_at_condition(TimePoint now) {
  condition_at_ = now;
  milliwatts_ = options_.watched ? power_.look(now) : 0;
  const DeviceHealth health =
      options_.watched ? read_health(files_, options_.file) : DeviceHealth{};
  const HealthVerdict& verdict = policy_.judge(health, local_minute(clock_.unix_seconds()), now);
  condition_ = {};
  condition_.share = verdict.share;
  condition_.text = verdict.reason;
  condition_.battery_percent = health.battery_percent.value_or(HealthReport::kNoBattery);
  condition_.on_battery = health.on_battery;
  if (health.celsius) condition_.celsius = static_cast<int16_t>(*health.celsius);
  condition_.pause_seconds = verdict.pause_seconds;
}

DeviceUse HealthWatch::use_at_present(const OwnUse& own, TimePoint now) {
  DeviceUse use;
  use.written_bytes = own.written_bytes;
  use.written_today = own.written_today;
  use.writes_per_day = own.writes_per_day;
  use.milliwatts = milliwatts_;
  if (!options_.watched || memory_bytes_ == 0) return use;
  MemoryState state = read_memory(files_, options_.file);
  state.resident = own.resident_bytes;
  if (const uint64_t limit = memory_.judge(state, now); limit < memory_bytes_) {
    use.cache_bytes = limit;
  }
  return use;
}

}  // namespace potluck
