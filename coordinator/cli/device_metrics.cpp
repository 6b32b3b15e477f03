#include "coordinator/cli/device_metrics.h"

#include <fmt/format.h>

namespace potluck {
namespace {

using DeviceValue = std::optional<double>;  // nothing: not known, and so no sample

struct DeviceMetric {
  const char* name;
  const char* type;
  const char* help;
  DeviceValue (*value)(const DeviceView& device);
};

// Of what is 0 until it has been measured.
DeviceValue measured(double value) {
  return value > 0 ? DeviceValue(value) : std::nullopt;
}

DeviceValue number(uint64_t value) {
  return static_cast<double>(value);
}

DeviceValue from_peers(const DeviceView& device) {
  double bytes = 0;
  for (const auto& [key, taken] : device.record.sources.peer_bytes) {
    bytes += static_cast<double>(taken);
  }
  return bytes;
}

DeviceValue battery(const DeviceView& device) {
  const auto& percent = device.record.health.battery_percent;
  return percent ? DeviceValue(*percent / 100.0) : std::nullopt;
}

DeviceValue celsius(const DeviceView& device) {
  const auto& degrees = device.record.health.celsius;
  return degrees ? DeviceValue(*degrees) : std::nullopt;
}

constexpr DeviceMetric kWhatItHas[] = {
    {"device_ram_bytes", "gauge", "Memory that a device lends to experts.",
     [](const DeviceView& d) { return number(d.record.ram_bytes); }},
    {"device_disk_bytes", "gauge", "Disk that a device lends to experts.",
     [](const DeviceView& d) { return number(d.record.disk_bytes); }},
    {"device_units_assigned", "gauge", "Units that a device is to hold.",
     [](const DeviceView& d) { return number(d.units_assigned); }},
    {"device_units_ready", "gauge", "Units that a device is ready to compute.",
     [](const DeviceView& d) { return number(d.units_ready); }},
    {"device_weight", "gauge", "A device's share of the units, compared with the others'.",
     [](const DeviceView& d) { return number(d.weight); }},
    {"device_threads", "gauge", "Threads of a device that compute.",
     [](const DeviceView& d) { return measured(d.facts.threads); }},
    {"device_disk_bytes_per_second", "gauge", "How fast a device reads its disk, as it says.",
     [](const DeviceView& d) { return measured(d.facts.disk_rate); }},
    {"device_link_bytes_per_second", "gauge", "How fast a device's link is.",
     [](const DeviceView& d) { return measured(d.facts.link_rate); }},
    {"device_round_trip_seconds", "gauge", "To a device and back, without work.",
     [](const DeviceView& d) { return measured(d.facts.round_trip); }},
    {"device_observed_bytes_per_second", "gauge", "Weights that a device was seen to apply.",
     [](const DeviceView& d) { return measured(d.facts.observed_rate); }},
};

// Of what devices say of their use, where 0 means that they do not.
template <auto Field>
DeviceValue used(const DeviceView& device) {
  const auto value = device.record.health.use.*Field;
  return value > 0 ? number(value) : std::nullopt;
}

constexpr DeviceMetric kWhatItUses[] = {
    {"device_pausing", "gauge", "Whether a device lends nothing, or is about to.",
     [](const DeviceView& d) { return number(d.record.health.pauses() ? 1 : 0); }},
    {"device_cache_limit_bytes", "gauge",
     "Memory that experts can have on a device at present, if less than it offered.",
     used<&DeviceUse::cache_bytes>},
    {"device_written_bytes_total", "counter",
     "Bytes that a device wrote to its disk since its store was made.",
     used<&DeviceUse::written_bytes>},
    {"device_written_today_bytes", "gauge", "Of these, since midnight (UTC).",
     used<&DeviceUse::written_today>},
    {"device_writes_per_day_bytes", "gauge", "Bytes that a device may write a day.",
     used<&DeviceUse::writes_per_day>},
    {"device_power_watts", "gauge", "What a device takes while it works, as it says.",
     [](const DeviceView& d) { return measured(d.record.health.use.milliwatts / 1e3); }},
};

constexpr DeviceMetric kHowItIs[] = {
    {"device_lent_ratio", "gauge", "How much of its speed a device lends at present, as it says.",
     [](const DeviceView& d) { return DeviceValue(d.record.health.share / 100.0); }},
    {"device_health_ratio", "gauge", "How much of its speed a device can keep up.",
     [](const DeviceView& d) { return DeviceValue(d.facts.health); }},
    {"device_on_battery", "gauge", "Whether a device runs on its battery.",
     [](const DeviceView& d) { return number(d.record.health.on_battery ? 1 : 0); }},
    {"device_battery_ratio", "gauge", "How full a device's battery is.", battery},
    {"device_celsius", "gauge", "Temperature of a device's processor.", celsius},
    {"device_left_out", "gauge", "Whether the plan gives a device nothing.",
     [](const DeviceView& d) { return number(d.left_out.empty() ? 0 : 1); }},
    {"device_answers_compared_total", "counter", "Answers of a device that were compared.",
     [](const DeviceView& d) { return number(d.trust.compared); }},
    {"device_answers_wrong_total", "counter", "Of these, those that were wrong.",
     [](const DeviceView& d) { return number(d.trust.mismatches); }},
    {"device_answers_right_in_a_row", "gauge", "Answers found right since one was not.",
     [](const DeviceView& d) { return number(d.trust.valid); }},
    {"device_compared_ratio", "gauge", "Part of a device's answers that is compared at present.",
     [](const DeviceView& d) { return DeviceValue(d.compared_share); }},
    {"device_quarantined_until_seconds", "gauge", "Unix time at which a quarantine ends; or 0.",
     [](const DeviceView& d) {
       const auto& record = d.record.quarantine;
       return DeviceValue(record ? static_cast<double>(record->until_seconds) : 0);
     }},
    {"device_accusers", "gauge", "Devices that say that this one sent wrong bytes.",
     [](const DeviceView& d) { return number(d.accusers); }},
};

std::string labels_of(const DeviceView& device) {
  return fmt::format("{},{}", metric_label("device", device.record.name),
                     metric_label("key", device.key.text()));
}

void write_rows(std::span<const DeviceMetric> metrics, const PoolView& view, MetricText* text) {
  for (const DeviceMetric& metric : metrics) {
    text->begin(metric.name, metric.type, metric.help);
    for (const DeviceView& device : view.devices) {
      const DeviceValue value = metric.value(device);
      if (value) text->sample(metric.name, labels_of(device), *value);
    }
  }
}

void write_states(const PoolView& view, MetricText* text) {
  const char* states = "device_state";
  text->begin(states, "gauge", "Always 1; the label says what a device is doing.");
  for (const DeviceView& device : view.devices) {
    const std::string state = metric_label("state", device_state_name(device.state));
    text->sample(states, labels_of(device) + "," + state, uint64_t{1});
  }
  const char* breakers = "device_breaker";
  text->begin(breakers, "gauge", "Always 1; the label says whether a device gets work.");
  for (const DeviceView& device : view.devices) {
    const std::string state = metric_label("state", breaker_name(device.breaker));
    text->sample(breakers, labels_of(device) + "," + state, uint64_t{1});
  }
}

void write_sources(const PoolView& view, MetricText* text) {
  const char* name = "device_fetched_bytes_total";
  text->begin(name, "counter", "Bytes of experts that a device has, by where it got them.");
  for (const DeviceView& device : view.devices) {
    const SourceRecord& sources = device.record.sources;
    const std::string labels = labels_of(device);
    text->sample(name, labels + ",from=\"coordinator\"", sources.coordinator_bytes);
    text->sample(name, labels + ",from=\"file\"", sources.file_bytes);
    text->sample(name, labels + ",from=\"devices\"", *from_peers(device));
  }
}

void write_products(const PoolView& view, MetricText* text) {
  const char* name = "device_products_bytes_per_second";
  text->begin(name, "gauge", "Weights that a device can apply, as it says, by format and rows.");
  for (const DeviceView& device : view.devices) {
    for (const ProductSpeed& speed : device.facts.products) {
      const BlockFormat* format = find_block_format(static_cast<uint32_t>(speed.format));
      if (format == nullptr) continue;
      const std::string labels =
          fmt::format("{},{}", labels_of(device), metric_label("format", format->name));
      text->sample(name, labels + ",rows=\"one\"", speed.one_row);
      text->sample(name, labels + ",rows=\"many\"", speed.many_rows);
    }
  }
}

}  // namespace

void write_device_metrics(const PoolView& view, MetricText* text) {
  write_states(view, text);
  write_rows(kWhatItHas, view, text);
  write_rows(kHowItIs, view, text);
  write_rows(kWhatItUses, view, text);
  write_sources(view, text);
  write_products(view, text);
}

}  // namespace potluck
