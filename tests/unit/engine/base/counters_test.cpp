// Sets of counters, and sets within sets.
#include "engine/base/counters.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace potluck {
namespace {

struct Requests {
  uint64_t answered = 0;
  uint64_t refused = 0;

  bool operator==(const Requests&) const = default;
  static constexpr auto counters() {
    return std::tuple(Counter{"answered", &Requests::answered},
                      Counter{"refused", &Requests::refused});
  }
};

struct Traffic {
  uint64_t bytes = 0;
  Requests requests;
  uint64_t connections = 0;

  bool operator==(const Traffic&) const = default;
  static constexpr auto counters() {
    return std::tuple(Counter{"bytes", &Traffic::bytes}, CounterGroup{&Traffic::requests},
                      Counter{"connections", &Traffic::connections, CounterKind::kGauge});
  }
};

TEST(Counters, EachIsVisitedInTheOrderOfTheLists) {
  const Traffic traffic{1, {2, 3}, 4};
  std::vector<std::string> names;
  std::vector<uint64_t> values;
  visit_counters(
      [&](const auto& counter, uint64_t value) {
        names.emplace_back(counter.name);
        values.push_back(value);
      },
      traffic);
  EXPECT_EQ(names, (std::vector<std::string>{"bytes", "answered", "refused", "connections"}));
  EXPECT_EQ(values, (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST(Counters, SumsTakeInTheGroups) {
  Traffic sum{1, {2, 3}, 4};
  sum += Traffic{10, {20, 30}, 40};
  EXPECT_EQ(sum, (Traffic{11, {22, 33}, 44}));
  EXPECT_EQ(sum + sum, (Traffic{22, {44, 66}, 88}));
}

TEST(Counters, ADifferenceKeepsTheLaterGauge) {
  EXPECT_EQ((Traffic{11, {22, 33}, 5} - Traffic{1, {2, 3}, 7}), (Traffic{10, {20, 30}, 5}));
}

}  // namespace
}  // namespace potluck
