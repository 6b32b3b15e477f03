// What is kept of answers, and for how long.
#include "coordinator/serving/http/response_store.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

StoredResponse response_of(std::string user, size_t bytes = 10) {
  return {std::move(user), {}, std::string(bytes, 'x')};
}

TEST(ResponseStore, KeepsAnswersForThoseWhoseTheyAre) {
  ResponseStore store;
  store.put("a", response_of("ann"));
  ASSERT_NE(store.find("a", "ann"), nullptr);
  EXPECT_EQ(store.find("a", "ann")->json, "xxxxxxxxxx");
  EXPECT_EQ(store.find("a", "bob"), nullptr);
  EXPECT_EQ(store.find("b", "ann"), nullptr);
  EXPECT_FALSE(store.remove("a", "bob"));
  EXPECT_TRUE(store.remove("a", "ann"));
  EXPECT_FALSE(store.remove("a", "ann"));
  EXPECT_EQ(store.bytes(), 0U);
}

TEST(ResponseStore, TheOldestGoesFirst) {
  ResponseStore few(1 << 20, 2);
  for (const char* id : {"a", "b", "c"}) few.put(id, response_of("ann"));
  EXPECT_EQ(few.find("a", "ann"), nullptr);
  EXPECT_NE(few.find("b", "ann"), nullptr);
  ResponseStore small(4000);
  for (const char* id : {"a", "b", "c"}) small.put(id, response_of("ann", 1500));
  EXPECT_EQ(small.find("a", "ann"), nullptr);
  EXPECT_NE(small.find("c", "ann"), nullptr);
  EXPECT_LE(small.bytes(), 4000U);
}

TEST(ResponseStore, WhatIsTooLargePushesNothingOut) {
  ResponseStore store(4000);
  store.put("a", response_of("ann"));
  store.put("b", response_of("ann", 5000));
  StoredResponse talk = response_of("ann");
  talk.messages.emplace_back().content = JsonValue{std::string(5000, 'x')};
  store.put("c", talk);
  EXPECT_NE(store.find("a", "ann"), nullptr);
  EXPECT_EQ(store.find("b", "ann"), nullptr);
  EXPECT_EQ(store.find("c", "ann"), nullptr);
}

}  // namespace
}  // namespace potluck
