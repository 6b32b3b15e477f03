// A set of counters as one flat JSON object. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/base/counters.h"

namespace potluck {

template <CounterSet Set>
nlohmann::json json_of(const Set& set) {
  nlohmann::json object = nlohmann::json::object();
  visit_counters([&](const auto& counter, uint64_t value) { object[counter.name] = value; }, set);
  return object;
}

}  // namespace potluck
