#include "coordinator/cli/facts_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "coordinator/cli/json_text.h"

namespace potluck {
namespace {

void put(nlohmann::json* document, const char* name, double value) {
  if (value > 0) (*document)[name] = std::llround(std::min(value, 9e18));
}

uint64_t count_field(const nlohmann::json& document, const char* name) {
  return static_cast<uint64_t>(std::max<int64_t>(0, whole_field(document, name)));
}

double rate_field(const nlohmann::json& document, const char* name) {
  return static_cast<double>(count_field(document, name));
}

}  // namespace

nlohmann::json describe_facts(const DeviceFacts& facts) {
  nlohmann::json document = nlohmann::json::object();
  put(&document, "threads", facts.threads);
  put(&document, "disk_bytes_per_second", facts.disk_rate);
  put(&document, "link_bytes_per_second", facts.link_rate);
  put(&document, "round_trip_us", facts.round_trip * 1e6);
  put(&document, "observed_bytes_per_second", facts.observed_rate);
  put(&document, "observed_many_rows_bytes_per_second", facts.observed_many_rate);
  put(&document, "health_percent", facts.health * 100);
  nlohmann::json products = nlohmann::json::array();
  for (const ProductSpeed& speed : facts.products) {
    const BlockFormat* format = find_block_format(static_cast<uint32_t>(speed.format));
    if (format == nullptr) continue;
    nlohmann::json entry = {{"format", std::string(format->name)}};
    put(&entry, "one_row_bytes_per_second", static_cast<double>(speed.one_row));
    put(&entry, "many_rows_bytes_per_second", static_cast<double>(speed.many_rows));
    products.push_back(std::move(entry));
  }
  document["products"] = std::move(products);
  return document;
}

DeviceFacts facts_of_json(const nlohmann::json& document) {
  DeviceFacts facts;
  facts.threads = static_cast<uint32_t>(std::min<uint64_t>(count_field(document, "threads"), 4096));
  facts.disk_rate = rate_field(document, "disk_bytes_per_second");
  facts.link_rate = rate_field(document, "link_bytes_per_second");
  facts.round_trip = rate_field(document, "round_trip_us") / 1e6;
  facts.round_trip_seen = facts.round_trip > 0;  // a pool knows no other
  facts.observed_rate = rate_field(document, "observed_bytes_per_second");
  facts.observed_many_rate = rate_field(document, "observed_many_rows_bytes_per_second");
  double health = rate_field(document, "health_percent") / 100;
  facts.health = health > 0 ? std::min(health, 1.0) : 1;
  for (const nlohmann::json& entry : list_field(document, "products")) {
    std::string name = text_field(entry, "format", "");
    for (const BlockFormat& format : block_formats()) {
      if (format.name != name) continue;
      facts.products.push_back({format.type, count_field(entry, "one_row_bytes_per_second"),
                                count_field(entry, "many_rows_bytes_per_second")});
    }
  }
  return facts;
}

}  // namespace potluck
