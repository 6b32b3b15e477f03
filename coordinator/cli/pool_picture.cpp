#include "coordinator/cli/pool_picture.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_json.h"

namespace potluck {
namespace {

uint64_t natural(const nlohmann::json& document, const char* name) {
  return static_cast<uint64_t>(std::max<int64_t>(0, whole_field(document, name)));
}

std::optional<ServiceView> service_of(const nlohmann::json& service) {
  if (service.empty()) return std::nullopt;
  ServiceView view;
  view.running = natural(service, "requests_running");
  view.waiting = natural(service, "requests_waiting");
  view.done = natural(service, "requests_done");
  view.answer_tokens = natural(service, "answer_tokens");
  view.memory_bytes = natural(service, "kv_used_bytes") + natural(service, "kv_kept_bytes");
  view.memory_budget_bytes = natural(service, "kv_budget_bytes");
  return view;
}

std::string age_text(int64_t seconds) {
  if (seconds < 60) return fmt::format("{} s ago", std::max<int64_t>(0, seconds));
  if (seconds < 3600) return fmt::format("{} min ago", seconds / 60);
  return fmt::format("{} h ago", seconds / 3600);
}

std::vector<std::string> events_of(const nlohmann::json& status, int64_t now) {
  std::vector<std::string> events;
  for (const nlohmann::json& event : list_field(status, "events")) {
    // Whole seconds of any size: the difference must not overflow.
    const int64_t at = std::max<int64_t>(0, whole_field(event, "unix_seconds"));
    events.push_back(
        fmt::format("{:>10}  {}", age_text(now - at), text_field(event, "message", "?")));
  }
  return events;
}

// Those that are away, by the name they were given; and those that are here get theirs.
void name_devices(const nlohmann::json& status, PoolPicture* picture) {
  std::set<std::string> here;
  std::map<std::string, std::string> names;
  for (const nlohmann::json& device : list_field(status, "devices")) {
    names[text_field(device, "key", "")] = text_field(device, "name", "?");
  }
  for (DeviceView& device : picture->pool.devices) {
    const std::string key = device.key.text();
    here.insert(key);
    if (const auto named = names.find(key); named != names.end() && !named->second.empty()) {
      device.record.name = named->second;
    }
  }
  for (const auto& [key, name] : names) {
    if (!here.contains(key)) picture->away.push_back(name.empty() ? key.substr(0, 8) : name);
  }
}

}  // namespace

PoolPicture picture_of(const nlohmann::json& status, const nlohmann::json& map, bool running,
                       int64_t now) {
  PoolPicture picture;
  picture.model = text_field(status, "model", "?");
  picture.running = running;
  const int64_t written = std::max<int64_t>(0, whole_field(status, "written_unix_seconds"));
  picture.age_seconds = std::max<int64_t>(0, now - written);
  picture.pool = view_of_json(status);
  picture.map = map_of_json(map);
  picture.workers_lost = natural(status, "workers_lost");
  picture.service = service_of(object_field(status, "service"));
  const double expected =
      decimal_field(object_field(status, "prediction"), "decode_tokens_per_second");
  if (expected > 0) picture.expected_tokens_per_second = expected;
  picture.events = events_of(status, now);
  name_devices(status, &picture);
  return picture;
}

PoolSample sample_of(const nlohmann::json& status, const nlohmann::json& service) {
  const nlohmann::json counters = object_field(status, "counters");
  PoolSample sample;
  sample.at = decimal_field(status, "steady_seconds");
  sample.answer_tokens = natural(service, "answer_tokens");
  sample.busy = natural(service, "requests_running") > 0;
  sample.layer_wait = natural(counters, "layer_wait_ns");
  sample.layer_local = natural(counters, "layer_local_ns");
  sample.compute = natural(counters, "compute_ns");
  sample.disk = natural(counters, "disk_ns");
  sample.slowest_compute = natural(counters, "slowest_compute_ns");
  return sample;
}

}  // namespace potluck
