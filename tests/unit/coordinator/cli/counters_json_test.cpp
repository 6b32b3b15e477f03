// What `status` and `bench` show of the counters.
#include "coordinator/cli/counters_json.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "coordinator/runtime/runtime.h"

namespace potluck {
namespace {

TEST(CountersJson, EveryCounterStandsUnderItsName) {
  ExpertCounters counters;
  counters.workers = 3;
  counters.dispatch.batches = 5;
  counters.dispatch.work.prefetches_wasted = 7;
  counters.layers.wait = uint64_t{1} << 63;
  nlohmann::json object = json_of(counters);
  EXPECT_EQ(object["workers"], 3);
  EXPECT_EQ(object["round_trips"], 5);
  EXPECT_EQ(object["prefetches_wasted"], 7);
  EXPECT_EQ(object["layer_wait_ns"], uint64_t{1} << 63);
  EXPECT_EQ(object["disk_bytes"], 0);
}

TEST(CountersJson, NoTwoCountersShareAName) {
  const ExpertCounters none;
  std::set<std::string> names;
  size_t counters = 0;
  visit_counters(
      [&](const auto& counter, uint64_t) {
        names.insert(counter.name);
        ++counters;
      },
      none);
  EXPECT_EQ(names.size(), counters);
  EXPECT_EQ(json_of(none).size(), counters);
}

}  // namespace
}  // namespace potluck
