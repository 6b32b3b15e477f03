#include "coordinator/cli/use_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/cli/json_text.h"

namespace potluck {
namespace {

struct UseField {
  const char* name;
  uint64_t DeviceUse::*value;
};

constexpr UseField kFields[] = {{"cache_bytes", &DeviceUse::cache_bytes},
                                {"written_bytes", &DeviceUse::written_bytes},
                                {"written_today_bytes", &DeviceUse::written_today},
                                {"writes_per_day_bytes", &DeviceUse::writes_per_day}};
constexpr const char* kMilliwatts = "milliwatts";

uint64_t bytes_of(const nlohmann::json& document, const char* name) {
  return static_cast<uint64_t>(std::max<int64_t>(0, whole_field(document, name)));
}

}  // namespace

nlohmann::json describe_use(const DeviceUse& use) {
  nlohmann::json document = {{kMilliwatts, use.milliwatts}};
  for (const UseField& field : kFields) document[field.name] = use.*field.value;
  return document;
}

DeviceUse use_of_json(const nlohmann::json& document) {
  DeviceUse use;
  if (!document.is_object()) return use;
  for (const UseField& field : kFields) use.*field.value = bytes_of(document, field.name);
  use.milliwatts =
      static_cast<uint32_t>(std::min<uint64_t>(bytes_of(document, kMilliwatts), UINT32_MAX));
  return use;
}

}  // namespace potluck
