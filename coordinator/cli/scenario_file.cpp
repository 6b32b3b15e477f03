#include "coordinator/cli/scenario_file.h"

#include <algorithm>
#include <functional>
#include <map>

#include <fmt/format.h>

#include "simulator/scenario_devices.h"

#include "coordinator/cli/config_file.h"
#include "coordinator/cli/number_text.h"
#include "engine/base/limits.h"
#include "engine/base/printable.h"

namespace potluck {
namespace {

using sim::DeviceKind;
using sim::EventKind;
using sim::LieKind;
using sim::PoolScenario;
using sim::ScenarioEvent;

constexpr uint64_t kScenarioBytes = kMiB;
constexpr uint64_t kRepetitions = 1000;
constexpr uint64_t kMostAtOnce = 1'000'000;

// Sets what a value says; the error says what was expected.
using Taker = std::function<Status(const std::string& text)>;
using Takers = std::map<std::string, Taker>;

template <class T>
Taker whole_taker(T* target, WholeRange range) {
  return [target, range](const std::string& text) -> Status {
    Result<uint64_t> value = read_whole(text, range);
    if (!value) return value.error();
    *target = static_cast<T>(*value);
    return {};
  };
}

Taker decimal_taker(double* target, DecimalRange range) {
  return [target, range](const std::string& text) -> Status {
    Result<double> value = read_decimal(text, range);
    if (!value) return value.error();
    *target = *value;
    return {};
  };
}

Taker size_taker(uint64_t* target) {
  return [target](const std::string& text) -> Status {
    Result<uint64_t> value = read_size(text);
    if (!value) return value.error();
    *target = *value;
    return {};
  };
}

Taker rate_taker(uint64_t* target) {
  return [target](const std::string& text) -> Status {
    Result<uint64_t> value = read_rate(text);
    if (!value) return value.error();
    if (*value < limits::kSimulatedBytesPerSecond) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("expected at least {} bytes per second, found {}",
                               limits::kSimulatedBytesPerSecond, printable(text))};
    }
    *target = *value;
    return {};
  };
}

// "250us", "3ms", "20s", "5min", "1.5h".
Result<Duration> read_scenario_time(const std::string& text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  constexpr Unit kUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"min", 60}, {"h", 3600}, {"s", 1}};
  const double longest = in_seconds(sim::kScenarioTime);
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    std::string number = text.substr(0, text.size() - unit.name.size());
    Result<double> value = read_decimal(number, {0, longest / unit.seconds});
    if (value) return Duration(static_cast<Duration::rep>(*value * unit.seconds * 1e9));
    break;
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("expected a time such as 250us, 3ms, 20s, 5min or 2h, at most a week, "
                           "found {}",
                           printable(text))};
}

Taker time_taker(Duration* target) {
  return [target](const std::string& text) -> Status {
    Result<Duration> value = read_scenario_time(text);
    if (!value) return value.error();
    *target = *value;
    return {};
  };
}

Taker text_taker(std::string* target) {
  return [target](const std::string& text) -> Status {
    constexpr size_t kLongestName = 64;
    if (text.empty() || text.size() > kLongestName || printable(text) != text) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("expected a name of at most {} characters", kLongestName)};
    }
    *target = text;
    return {};
  };
}

Taker switch_taker(bool* target) {
  return [target](const std::string& text) -> Status {
    if (text != "true" && text != "false") {
      return Error{ErrorCode::kInvalidArgument, "expected true or false"};
    }
    *target = text == "true";
    return {};
  };
}

template <class T>
Taker choice_taker(T* target, std::vector<std::pair<std::string, T>> choices) {
  return [target, choices = std::move(choices)](const std::string& text) -> Status {
    std::string names;
    for (const auto& [name, value] : choices) {
      if (name == text) {
        *target = value;
        return {};
      }
      names += names.empty() ? name : ", " + name;
    }
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected one of {}; found {}", names, printable(text))};
  };
}

std::vector<std::pair<std::string, EventKind>> event_kinds() {
  std::vector<std::pair<std::string, EventKind>> kinds;
  for (int i = 0; i <= static_cast<int>(EventKind::kStoreGone); ++i) {
    auto kind = static_cast<EventKind>(i);
    kinds.emplace_back(sim::name_of(kind), kind);
  }
  return kinds;
}

Takers scenario_takers(PoolScenario* s) {
  return {{"name", text_taker(&s->name)},
          {"slices", whole_taker(&s->slices, {0, limits::kSlices})},
          {"replicas", whole_taker(&s->replicas, {1, limits::kHoldersPerUnit})},
          {"verify", choice_taker<VerifyMode>(&s->verify, {{"off", VerifyMode::kOff},
                                                           {"sample", VerifyMode::kSample},
                                                           {"all", VerifyMode::kAll}})},
          {"questions", whole_taker(&s->questions, {0, 1000})},
          {"first-question", time_taker(&s->first_question)},
          {"every", time_taker(&s->every)},
          {"prompt", whole_taker(&s->prompt, {1, 512})},
          {"tokens", whole_taker(&s->tokens, {1, sim::kScenarioTokens})},
          {"patience", time_taker(&s->patience)}};
}

Takers model_takers(PoolScenario* s) {
  sim::SyntheticShape* m = &s->model;
  std::vector<std::pair<std::string, TensorType>> formats;
  for (const BlockFormat& format : block_formats()) {
    formats.emplace_back(std::string(format.name), format.type);
  }
  return {{"name", text_taker(&m->name)},
          {"weights", switch_taker(&s->has_weights)},
          {"layers", whole_taker(&m->layers, {1, limits::kLayers})},
          {"hidden", whole_taker(&m->hidden, {32, limits::kHidden})},
          {"heads", whole_taker(&m->heads, {1, limits::kHeads})},
          {"kv-heads", whole_taker(&m->kv_heads, {1, limits::kHeads})},
          {"head-size", whole_taker(&m->head_dim, {2, limits::kHeadDimension})},
          {"vocabulary", whole_taker(&m->vocabulary, {16, limits::kVocabulary})},
          {"experts", whole_taker(&m->experts, {1, limits::kExperts})},
          {"experts-used", whole_taker(&m->top_k, {1, limits::kExpertsUsed})},
          {"expert-width", whole_taker(&m->expert_width, {32, limits::kExpertWidth})},
          {"format", choice_taker<TensorType>(&m->format, std::move(formats))},
          {"as-if-expert", size_taker(&s->as_if_expert_bytes)}};
}

Takers coordinator_takers(PoolScenario* s) {
  return {{"products", rate_taker(&s->coordinator_products)},
          {"disk-rate", rate_taker(&s->coordinator_disk_rate)},
          {"attention", time_taker(&s->attention)}};
}

Takers route_takers(PoolScenario* s) {
  return {{"skew", decimal_taker(&s->routes.skew, {0, 4})},
          {"repeats", decimal_taker(&s->routes.repeats, {0, 1})},
          {"guessed", decimal_taker(&s->routes.guessed, {0, 1})}};
}

// Where anything of it is said, the device is watched.
HealthLimits* limits_of(DeviceKind* d) {
  if (!d->limits) d->limits.emplace();
  return &*d->limits;
}

Taker storage_taker(DeviceKind* d) {
  return [d](const std::string& text) -> Status {
    d->storage = find_storage_profile(text);
    if (d->storage == nullptr) {
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("expected one of {}; found {}", storage_profile_names(), printable(text))};
    }
    d->disk_rate = static_cast<uint64_t>(d->storage->most_bytes_per_second);
    return {};
  };
}

Taker battery_taker(DeviceKind* d) {
  return [d](const std::string& text) -> Status {
    (void)limits_of(d);
    return time_taker(&d->battery)(text);
  };
}

// What its owner allows.
Takers limit_takers(DeviceKind* d) {
  auto charging = [d](const std::string& text) -> Status {
    return switch_taker(&limits_of(d)->only_when_charging)(text);
  };
  auto floor = [d](const std::string& text) -> Status {
    Result<uint64_t> percent = read_percent(text);
    if (!percent) return percent.error();
    limits_of(d)->battery_floor = static_cast<uint8_t>(*percent);
    return {};
  };
  auto pause = [d](const std::string& text) -> Status {
    Result<uint64_t> celsius = read_celsius(text);
    if (!celsius) return celsius.error();
    limits_of(d)->pause_above = static_cast<int32_t>(*celsius);
    return {};
  };
  return {{"only-when-charging", charging}, {"battery-floor", floor}, {"pause-above", pause}};
}

Takers device_takers(DeviceKind* d) {
  Takers takers = {{"name", text_taker(&d->name)},
                   {"count", whole_taker(&d->count, {1, sim::kScenarioDevices})},
                   {"ram", size_taker(&d->ram_bytes)},
                   {"disk", size_taker(&d->disk_bytes)},
                   {"disk-rate", rate_taker(&d->disk_rate)},
                   {"products", rate_taker(&d->products)},
                   {"delay", time_taker(&d->link.least_delay)},
                   {"jitter", time_taker(&d->link.mean_delay)},
                   {"link", rate_taker(&d->link.bytes_per_second)},
                   {"loss", decimal_taker(&d->link.loss, {0, 0.5})},
                   {"duplicated", decimal_taker(&d->link.duplicated, {0, 0.5})},
                   {"overtaken", decimal_taker(&d->link.overtaken, {0, 0.5})},
                   {"air", whole_taker(&d->link.air, {0, 1000})},
                   {"storage", storage_taker(d)},
                   {"battery", battery_taker(d)},
                   {"max-writes-per-day", size_taker(&d->writes_per_day)}};
  takers.merge(limit_takers(d));
  return takers;
}

// One table of the file while it is read.
struct EventTable {
  ScenarioEvent event;
  Duration every{0};
  uint64_t times = 1;
};

Takers event_takers(EventTable* table) {
  ScenarioEvent* e = &table->event;
  return {{"at", time_taker(&e->at)},
          {"kind", choice_taker<EventKind>(&e->kind, event_kinds())},
          {"device", text_taker(&e->device)},
          {"for", time_taker(&e->lasts)},
          {"count", whole_taker(&e->count, {1, kMostAtOnce})},
          {"factor", decimal_taker(&e->factor, {0.001, 100'000})},
          {"celsius", whole_taker(&e->celsius, {0, 100})},
          {"lie", choice_taker<LieKind>(&e->lie, {{"flipped-bit", LieKind::kFlipBit},
                                                  {"stale", LieKind::kStale},
                                                  {"zeros", LieKind::kZeros},
                                                  {"other-expert", LieKind::kOtherExpert}})},
          {"every", time_taker(&table->every)},
          {"times", whole_taker(&table->times, {1, kRepetitions})}};
}

// Reads the file table by table, and checks each as a whole when the next one begins.
class ScenarioReader {
 public:
  explicit ScenarioReader(std::string path) : path_(std::move(path)) {}

  Result<PoolScenario> read(std::string_view text);

 private:
  Status begin(const Setting& head);
  Status end();
  Status end_device();
  Status end_event();
  Status check_event(const ScenarioEvent& event) const;
  Status check_whole() const;
  Error at(uint32_t line, const std::string& where, const std::string& what) const;

  std::string path_;
  PoolScenario scenario_;
  DeviceKind device_;
  EventTable event_;
  std::string table_;
  uint32_t line_ = 0;  // of the table's head
  Takers takers_;
  uint64_t joining_ = 0;
};

Error ScenarioReader::at(uint32_t line, const std::string& where, const std::string& what) const {
  return {ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}: {}", path_, line, where, what)};
}

Status ScenarioReader::begin(const Setting& head) {
  table_ = printable(head.table);
  line_ = head.line;
  if (table_ == "scenario") {
    takers_ = scenario_takers(&scenario_);
  } else if (table_ == "model") {
    takers_ = model_takers(&scenario_);
  } else if (table_ == "coordinator") {
    takers_ = coordinator_takers(&scenario_);
  } else if (table_ == "routes") {
    takers_ = route_takers(&scenario_);
  } else if (table_ == "device") {
    device_ = DeviceKind();
    takers_ = device_takers(&device_);
  } else if (table_ == "event") {
    event_ = EventTable();
    takers_ = event_takers(&event_);
  } else {
    return at(line_, fmt::format("[{}]", table_),
              "expected [scenario], [model], [coordinator], [routes], [[device]] or [[event]]");
  }
  return {};
}

Status ScenarioReader::end() {
  if (table_ == "device") return end_device();
  if (table_ == "event") return end_event();
  return {};
}

Status ScenarioReader::end_device() {
  if (device_.name.empty()) return at(line_, "[device] name", "is missing");
  for (const DeviceKind& other : scenario_.devices) {
    if (other.name == device_.name) {
      return at(line_, "[device] name", "another table has this name");
    }
  }
  scenario_.devices.push_back(device_);
  return {};
}

bool is_of_coordinator(EventKind kind) {
  return kind == EventKind::kCoordinatorRestart || kind == EventKind::kCoordinatorStall ||
         kind == EventKind::kSlowPeer;
}

Status ScenarioReader::check_event(const ScenarioEvent& event) const {
  bool needs_time = event.kind == EventKind::kSleep || event.kind == EventKind::kStall ||
                    event.kind == EventKind::kCoordinatorRestart ||
                    event.kind == EventKind::kCoordinatorStall ||
                    event.kind == EventKind::kLinkDown || event.kind == EventKind::kOneWay ||
                    event.kind == EventKind::kDeaf || event.kind == EventKind::kDiskFull ||
                    event.kind == EventKind::kHeat || event.kind == EventKind::kStoreGone;
  if (needs_time && event.lasts == Duration::zero()) {
    return at(line_, "[event] for", "is missing: how long does it last?");
  }
  if (!is_of_coordinator(event.kind) && event.device.empty()) {
    return at(line_, "[event] device", "is missing: a name, a kind, or *");
  }
  return {};
}

Status ScenarioReader::end_event() {
  if (Status checked = check_event(event_.event); !checked) return checked;
  for (uint64_t i = 0; i < event_.times; ++i) {
    if (scenario_.events.size() == sim::kScenarioEvents) {
      return at(line_, "[event] times", fmt::format("more than {} events", sim::kScenarioEvents));
    }
    ScenarioEvent event = event_.event;
    event.at += static_cast<Duration::rep>(i) * event_.every;
    if (event.at > sim::kScenarioTime) return at(line_, "[event] at", "is more than a week away");
    if (event.kind == EventKind::kJoin) joining_ += event.count;
    scenario_.events.push_back(std::move(event));
  }
  return {};
}

// What only the whole file shows.
Status ScenarioReader::check_whole() const {
  uint64_t devices = joining_;
  for (const DeviceKind& kind : scenario_.devices) devices += kind.count;
  if (scenario_.devices.empty()) {
    return at(1, "[[device]]", "is missing: a pool has at least one device");
  }
  if (devices > sim::kScenarioDevices) {
    return at(
        1, "[device] count",
        fmt::format("{} devices in all, expected at most {}", devices, sim::kScenarioDevices));
  }
  const sim::SyntheticShape& m = scenario_.model;
  if (m.top_k > m.experts) return at(1, "[model] experts-used", "is more than there are experts");
  double per_layer = 3.0 * m.experts * m.expert_width + 4.0 * m.heads * m.head_dim;
  double weights = 4.0 * m.hidden * (m.layers * per_layer + 2.0 * m.vocabulary);
  if (scenario_.has_weights && m.format != TensorType::kF32) {
    return at(1, "[model] format", "a model with weights has F32");
  }
  if (scenario_.has_weights && weights > static_cast<double>(sim::kScenarioWeights)) {
    return at(1, "[model] weights",
              fmt::format("{:.0f} MiB, expected at most {}: say weights = false", weights / kMiB,
                          sim::kScenarioWeights / kMiB));
  }
  for (const ScenarioEvent& event : scenario_.events) {
    bool known = event.device.empty() || event.device == "*";
    for (const DeviceKind& kind : scenario_.devices) {
      known = known || event.device == kind.name || event.device.starts_with(kind.name + " ");
    }
    if (!known) {
      return at(1, "[event] device", fmt::format("no device is called {}", event.device));
    }
  }
  return {};
}

Result<PoolScenario> ScenarioReader::read(std::string_view text) {
  auto settings = parse_config(path_, text, TableForm::kSingleOrRepeated);
  if (!settings) return settings.error();
  scenario_.name = path_;
  for (const Setting& setting : *settings) {
    if (setting.kind == Setting::Kind::kTable) {
      if (Status ended = end(); !ended) return ended.error();
      if (Status begun = begin(setting); !begun) return begun.error();
      continue;
    }
    const std::string where = fmt::format("[{}] {}", table_, printable(setting.key));
    auto taker = takers_.find(setting.key);
    if (taker == takers_.end()) {
      std::string known;
      for (const auto& [name, ignored] : takers_) known += known.empty() ? name : ", " + name;
      return at(setting.line, where, "expected " + known);
    }
    if (setting.kind == Setting::Kind::kList) return at(setting.line, where, "expected one value");
    if (Status taken = taker->second(setting.values.front()); !taken) {
      return at(setting.line, where, taken.error().message);
    }
  }
  if (Status ended = end(); !ended) return ended.error();
  if (Status checked = check_whole(); !checked) return checked.error();
  std::stable_sort(scenario_.events.begin(), scenario_.events.end(),
                   [](const ScenarioEvent& a, const ScenarioEvent& b) { return a.at < b.at; });
  return std::move(scenario_);
}

}  // namespace

Result<PoolScenario> parse_scenario(const std::string& path, std::string_view text) {
  return ScenarioReader(path).read(text);
}

Result<PoolScenario> read_scenario_file(Storage& storage, const std::string& path) {
  Result<ByteVector> bytes = read_file(storage, path, kScenarioBytes);
  if (!bytes) return bytes.error();
  return parse_scenario(path, as_text(*bytes));
}

}  // namespace potluck
