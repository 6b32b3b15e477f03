#include "coordinator/cli/nodes_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/cli/config_file.h"
#include "coordinator/cli/number_text.h"
#include "engine/base/printable.h"
#include "engine/base/storage_profile.h"

namespace potluck {
namespace {

constexpr uint64_t kNodesBytes = kMiB;
// More than any pool takes, so that one can see where it ends.
constexpr size_t kDevices = 1000;
// A prompt's rows share what is read: without another figure, this much faster.
constexpr uint64_t kPromptFactor = 4;

struct Kind {
  std::string name;
  uint64_t count = 1;
  DeviceFacts facts;
  uint64_t one_row = 0;
  uint64_t many_rows = 0;
};

Kind usual_kind(const std::string& name) {
  Kind kind;
  kind.name = name;
  kind.facts.ram_bytes = 4 * kGiB;
  kind.facts.disk_bytes = 1024 * kGiB;
  return kind;
}

Status take_rate(const Setting& setting, uint64_t* rate) {
  Result<uint64_t> value = read_rate(setting.values.front());
  if (!value) return value.error();
  *rate = *value;
  return {};
}

Status take_rate(const Setting& setting, double* rate) {
  uint64_t whole = 0;
  Status taken = take_rate(setting, &whole);
  *rate = static_cast<double>(whole);
  return taken;
}

Status take_size(const Setting& setting, uint64_t* size) {
  Result<uint64_t> value = read_size(setting.values.front());
  if (!value) return value.error();
  *size = *value;
  return {};
}

Status take_fact(const Setting& setting, Kind* kind) {
  const std::string& text = setting.values.front();
  if (setting.key == "count") {
    Result<uint64_t> count = read_whole(text, {1, kDevices});
    if (!count) return count.error();
    kind->count = *count;
    return {};
  }
  if (setting.key == "ram") return take_size(setting, &kind->facts.ram_bytes);
  if (setting.key == "disk") return take_size(setting, &kind->facts.disk_bytes);
  if (setting.key == "disk-rate") return take_rate(setting, &kind->facts.disk_rate);
  if (setting.key == "products") return take_rate(setting, &kind->one_row);
  if (setting.key == "prompt-products") return take_rate(setting, &kind->many_rows);
  if (setting.key == "link") return take_rate(setting, &kind->facts.link_rate);
  if (setting.key == "round-trip") {
    Result<Duration> time = read_duration(text);
    if (!time) return time.error();
    kind->facts.round_trip = in_seconds(*time);
    return {};
  }
  if (setting.key == "health") {
    Result<double> health = read_decimal(text, {0.01, 1});
    if (!health) return health.error();
    kind->facts.health = *health;
    return {};
  }
  if (setting.key == "storage") {
    const StorageProfile* profile = find_storage_profile(text);
    if (profile == nullptr) {
      return Error{ErrorCode::kInvalidArgument, "expected " + storage_profile_names()};
    }
    kind->facts.disk_rate = profile->bytes_per_second(kProfileReadBytes);
    return {};
  }
  if (setting.key == "battery" && setting.kind == Setting::Kind::kSwitch) {
    kind->facts.on_battery = text == "true";
    return {};
  }
  if (setting.key == "local" && setting.kind == Setting::Kind::kSwitch) {
    kind->facts.local = text == "true";
    return {};
  }
  return Error{ErrorCode::kInvalidArgument,
               "expected count, ram, disk, disk-rate, storage, products, prompt-products, "
               "round-trip, link, health, battery = true or local = true"};
}

// All have the products in one format: rates of others follow from it.
void finish(Kind* kind) {
  if (kind->one_row == 0 && kind->many_rows == 0) return;
  if (kind->many_rows == 0) kind->many_rows = kind->one_row * kPromptFactor;
  kind->facts.products = {{TensorType::kF32, kind->one_row, kind->many_rows}};
}

void add_devices(Kind kind, DescribedPool* described) {
  finish(&kind);
  if (kind.name == "coordinator") {
    described->pool.coordinator = kind.facts;
    described->has_coordinator = true;
    return;
  }
  for (uint64_t i = 1; i <= kind.count; ++i) {
    described->pool.devices.push_back(kind.facts);
    described->names.push_back(kind.count == 1 ? kind.name : fmt::format("{} {}", kind.name, i));
  }
}

Error at(const std::string& path, const Setting& setting, const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}:{}: [{}] {}: {}", path, setting.line, printable(setting.table),
                      printable(setting.key), what)};
}

}  // namespace

Result<DescribedPool> parse_nodes(const std::string& path, std::string_view text) {
  Result<std::vector<Setting>> settings = parse_config(path, text);
  if (!settings) return settings.error();
  std::vector<Kind> kinds;
  for (const Setting& setting : *settings) {
    if (setting.kind == Setting::Kind::kTable) {
      kinds.push_back(usual_kind(printable(setting.table)));
      continue;
    }
    if (setting.kind == Setting::Kind::kList) return at(path, setting, "expected one value");
    auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& known) {
      return known.name == printable(setting.table);
    });
    if (kind == kinds.end()) return at(path, setting, "stands outside of its table");
    if (Status taken = take_fact(setting, &*kind); !taken) {
      return at(path, setting, taken.error().message);
    }
  }
  DescribedPool described;
  for (Kind& kind : kinds) add_devices(std::move(kind), &described);
  if (described.pool.devices.size() > kDevices) {
    return Error{ErrorCode::kLimit, fmt::format("{}: {} devices, expected at most {}", path,
                                                described.pool.devices.size(), kDevices)};
  }
  return described;
}

Result<DescribedPool> read_nodes_file(Storage& storage, const std::string& path) {
  Result<ByteVector> bytes = read_file(storage, path, kNodesBytes);
  if (!bytes) return bytes.error();
  return parse_nodes(path, as_text(*bytes));
}

}  // namespace potluck
