#include "coordinator/cli/facts_json.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(FactsJson, ComesBackAsItWas) {
  DeviceFacts facts;
  facts.disk_rate = 2.5e9;
  facts.products = {{TensorType::kQ4_0, 10, 40}, {TensorType::kQ4_K, 20, 0}};
  facts.link_rate = 1e8;
  facts.round_trip = 0.0003;
  facts.round_trip_seen = true;
  facts.observed_rate = 5e9;
  facts.observed_many_rate = 2e10;
  facts.health = 0.75;
  facts.threads = 4;
  DeviceFacts back = facts_of_json(describe_facts(facts));
  EXPECT_NEAR(back.round_trip, facts.round_trip, 1e-9);
  back.round_trip = facts.round_trip;
  EXPECT_EQ(back, facts);
  EXPECT_EQ(facts_of_json(describe_facts({})), DeviceFacts{});
}

TEST(FactsJson, AnyDocumentIsTaken) {
  for (const char* text :
       {"null", "[]", "3", "{\"products\": 3, \"threads\": -1, \"health_percent\": \"x\"}",
        "{\"products\": [3, {}, {\"format\": \"nothing\"}], \"threads\": 99999999999}"}) {
    DeviceFacts facts = facts_of_json(nlohmann::json::parse(text));
    EXPECT_TRUE(facts.products.empty());
    EXPECT_EQ(facts.health, 1);
    EXPECT_LE(facts.threads, 4096u);
  }
}

}  // namespace
}  // namespace potluck
