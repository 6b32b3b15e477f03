#include "engine/experts/cache_policy.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/engine/experts/route_trace.h"

namespace potluck {
namespace {

Digest key(uint64_t number) {
  Digest digest;
  store(digest.bytes.data(), number);
  return digest;
}

bool anything(const Digest&) {
  return true;
}

// One use, with room for `entries`: true for a hit.
bool use(CachePolicy* policy, uint64_t entries, uint64_t number) {
  if (policy->touch(key(number))) return true;
  if (policy->size() == entries) policy->erase(policy->victim(Want::kNow, anything).value());
  policy->admit(key(number), false);
  return false;
}

// Least recently used would say the opposite.
TEST(CachePolicy, TheLayerThatComesLastGivesWayFirst) {
  CachePolicy policy(4);
  for (uint32_t layer = 0; layer < 4; ++layer) {
    policy.begin_step(layer);
    policy.admit(key(layer), false);
  }
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(2)) << "of what the last token used";
  policy.begin_step(0);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(0)) << "had its turn, and was not used";
}

TEST(CachePolicy, OldFameFades) {
  CachePolicy policy(2);
  for (int turn = 0; turn < 8; ++turn) {
    policy.begin_step(0);
    if (!policy.touch(key(1))) policy.admit(key(1), false);
  }
  policy.begin_step(0);
  policy.admit(key(2), false);
  policy.begin_step(0);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(2)) << "used once, the other eight times";
  policy.touch(key(2));
  for (int turn = 0; turn < 40; ++turn) policy.begin_step(0);
  policy.touch(key(2));
  policy.begin_step(0);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(1));
}

TEST(CachePolicy, UsesAreRememberedOverAnEviction) {
  CachePolicy policy(3);
  auto turn = [&](uint64_t number) {
    policy.begin_step(0);
    use(&policy, 3, number);
  };
  for (int i = 0; i < 4; ++i) turn(1);
  policy.erase(key(1));
  EXPECT_FALSE(policy.contains(key(1)));
  EXPECT_EQ(policy.size(), 0u);
  EXPECT_FALSE(policy.touch(key(1)));
  turn(1);
  turn(2);
  policy.begin_step(0);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(2));
}

TEST(CachePolicy, HeldEntriesAreSkipped) {
  CachePolicy policy(3);
  policy.begin_step(0);
  for (uint64_t number = 0; number < 3; ++number) policy.admit(key(number), false);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(0))
      << "in the last resort what this step uses";
  EXPECT_EQ(policy.victim(Want::kNow, [](const Digest& k) { return k == key(2); }), key(2));
  EXPECT_EQ(policy.victim(Want::kNow, [](const Digest&) { return false; }), std::nullopt);
}

TEST(CachePolicy, PrefetchesLeaveFirstUntilTheyAreUsed) {
  CachePolicy policy(4);
  policy.begin_step(0);
  policy.admit(key(0), false);
  policy.admit(key(1), true);
  policy.admit(key(2), true);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(1));
  policy.begin_step(1);
  EXPECT_TRUE(policy.touch(key(1)));
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(2));
  policy.erase(key(2));
  EXPECT_EQ(policy.counters().prefetches, 2u);
  EXPECT_EQ(policy.counters().work.prefetches_used, 1u);
  EXPECT_EQ(policy.counters().work.prefetches_wasted, 1u);
  EXPECT_EQ(policy.counters().work.cache_misses, 1u);
}

TEST(CachePolicy, NothingTheLastTokenUsedLeavesForAPrefetch) {
  CachePolicy policy(4);
  for (uint32_t layer = 0; layer < 2; ++layer) {
    policy.begin_step(layer);
    policy.admit(key(layer), false);
  }
  EXPECT_EQ(policy.victim(Want::kPerhaps, anything), std::nullopt);
  policy.admit(key(5), true);
  EXPECT_EQ(policy.victim(Want::kPerhaps, anything), std::nullopt)
      << "prefetches of one step bear each other";
  policy.begin_step(0);
  EXPECT_EQ(policy.victim(Want::kPerhaps, anything), key(5)) << "its layer has come";
  policy.erase(key(5));
  EXPECT_EQ(policy.victim(Want::kPerhaps, anything), key(0)) << "not used in this turn";
  policy.touch(key(0));
  EXPECT_EQ(policy.victim(Want::kPerhaps, anything), std::nullopt);
}

// A step of many rows uses every layer: the one before makes room for the next, as it is needed
// last, but the current one keeps what it has.
TEST(CachePolicy, OtherLayersMakeRoomForWhatIsNeededSoon) {
  CachePolicy policy(4);
  for (uint32_t layer = 0; layer < 3; ++layer) {
    policy.begin_step(layer);
    policy.admit(key(layer), false);
  }
  EXPECT_EQ(policy.victim(Want::kSoon, anything), key(1));
  policy.erase(key(1));
  policy.admit(key(3), true);
  EXPECT_EQ(policy.victim(Want::kSoon, anything), key(0));
  policy.erase(key(0));
  EXPECT_EQ(policy.victim(Want::kSoon, anything), std::nullopt);
}

TEST(CachePolicy, LayersThatNobodyAsksForLeave) {
  CachePolicy policy(2);
  policy.begin_step(7);
  policy.admit(key(7), false);
  for (int turn = 0; turn < 10; ++turn) {
    policy.begin_step(7);
    policy.touch(key(7));
  }
  policy.begin_step(0);
  policy.admit(key(1), false);
  for (int turn = 0; turn < 40; ++turn) policy.begin_step(0);
  EXPECT_EQ(policy.victim(Want::kNow, anything), key(7));
}

// Interleaved requests: time passes for each layer by itself.
TEST(CachePolicy, AlternatingRequestsDoNotAgeEachOther) {
  CachePolicy policy(4);
  for (int turn = 0; turn < 5; ++turn) {
    for (uint32_t layer : {0, 2, 1, 3}) {
      policy.begin_step(layer);
      if (!policy.touch(key(layer))) policy.admit(key(layer), false);
    }
  }
  for (uint32_t layer : {0, 2, 1, 3}) {
    policy.begin_step(layer);
    EXPECT_EQ(policy.victim(Want::kPerhaps, anything), key(layer));
    policy.touch(key(layer));
  }
}

// The sets in which entries are kept, against a plain list of them.
TEST(CachePolicy, HoldsWhatItWasGivenOnRandomTraces) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    CounterRandom random(seed);
    uint64_t entries = 1 + random.bits(0) % 12;
    CachePolicy policy(entries);
    std::set<Digest> held;
    for (uint64_t step = 1; step < 3000; ++step) {
      if (random.bits(step, 0) % 3 == 0) {
        policy.begin_step(static_cast<uint32_t>(random.bits(step, 1) % 4));
      } else if (step < 5) {
        policy.begin_step(0);
      }
      Digest name = key(random.bits(step, 2) % 30);
      constexpr Want kWants[] = {Want::kNow, Want::kNow, Want::kSoon, Want::kPerhaps};
      Want want = kWants[random.bits(step, 3) % 4];
      ASSERT_EQ(policy.contains(name), held.contains(name));
      if (random.bits(step, 4) % 10 == 0) {
        policy.erase(name);
        held.erase(name);
      } else if (held.contains(name)) {
        ASSERT_TRUE(policy.touch(name));
      } else {
        ASSERT_FALSE(policy.touch(name));
        if (held.size() == entries) {
          auto victim = policy.victim(want, anything);
          ASSERT_TRUE(victim || want != Want::kNow);
          if (!victim) continue;
          ASSERT_EQ(held.erase(*victim), 1u);
          policy.erase(*victim);
        }
        policy.admit(name, want != Want::kNow);
        held.insert(name);
      }
      ASSERT_EQ(policy.size(), held.size());
    }
  }
}

// --- against other policies ---

constexpr uint32_t kTraceLayers = 12;
constexpr uint32_t kExperts = 64;

// Experts by Zipf's law; in every layer two of them change their ranks every `period` tokens, a
// popular one and any other.
test::RouteTrace zipf_with_drift(uint64_t seed, double exponent, uint32_t period) {
  CounterRandom random(seed);
  test::RouteTrace trace{"zipf", kTraceLayers, kExperts, {}};
  std::vector<std::vector<uint32_t>> ranks(kTraceLayers);
  for (auto& rank : ranks) {
    for (uint32_t expert = 0; expert < kExperts; ++expert) rank.push_back(expert);
  }
  std::vector<double> weights;
  for (uint32_t i = 0; i < kExperts; ++i) weights.push_back(std::pow(i + 1.0, -exponent));
  double total = 0;
  for (double weight : weights) total += weight;
  uint64_t draw = 0;
  auto pick = [&] {
    double left = random.uniform(++draw) * total;
    uint32_t i = 0;
    while (i + 1 < kExperts && left >= weights[i]) left -= weights[i++];
    return i;
  };
  for (uint32_t token = 0; token < 200; ++token) {
    for (uint32_t layer = 0; layer < kTraceLayers; ++layer) {
      if (token % period == 0) {
        std::swap(ranks[layer][pick()], ranks[layer][random.bits(++draw) % kExperts]);
      }
      test::RouteStep step{layer, {}};
      while (step.experts.size() < 4) {
        uint32_t expert = ranks[layer][pick()];
        auto end = step.experts.end();
        if (std::find(step.experts.begin(), end, expert) == end) step.experts.push_back(expert);
      }
      trace.steps.push_back(std::move(step));
    }
  }
  return trace;
}

// Every expert in turn, again and again: the worst case of least recently used.
test::RouteTrace loop() {
  test::RouteTrace trace{"loop", kTraceLayers, kExperts, {}};
  for (uint32_t token = 0; token < 200; ++token) {
    for (uint32_t layer = 0; layer < kTraceLayers; ++layer) {
      trace.steps.push_back({layer, {token % 16, (token + 1) % 16}});
    }
  }
  return trace;
}

// A few experts that are always used, among others that are used once.
test::RouteTrace scan(uint64_t seed) {
  CounterRandom random(seed);
  test::RouteTrace trace{"scan", kTraceLayers, kExperts, {}};
  for (uint32_t token = 0; token < 200; ++token) {
    for (uint32_t layer = 0; layer < kTraceLayers; ++layer) {
      uint32_t hot = static_cast<uint32_t>(random.bits(token, layer) % 4);
      trace.steps.push_back({layer, {hot, 4 + (token * 7 + layer) % (kExperts - 4)}});
    }
  }
  return trace;
}

void expect_between_lru_and_optimum(const test::RouteTrace& trace) {
  for (uint64_t percent : {5, 10, 25, 50}) {
    uint64_t entries = trace.bank() * percent / 100;
    double ours = test::replay_policy(trace, entries);
    EXPECT_GE(ours, test::replay_lru(trace, entries)) << trace.name << " at " << percent << " %";
    EXPECT_LE(ours, test::replay_clairvoyant(trace, entries)) << trace.name;
  }
}

TEST(CachePolicy, NeverWorseThanLeastRecentlyUsedOnMadeTraces) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    for (double exponent : {0.6, 1.0, 1.4}) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", exponent " << exponent);
      expect_between_lru_and_optimum(zipf_with_drift(seed, exponent, 4));
    }
    expect_between_lru_and_optimum(scan(seed));
  }
  expect_between_lru_and_optimum(loop());
}

// Where the popular experts change with every token, only the last use counts.
TEST(CachePolicy, HardlyWorseWhereThePastSaysNothing) {
  test::RouteTrace trace = zipf_with_drift(1, 1.4, 1);
  for (uint64_t percent : {5, 10, 25, 50}) {
    uint64_t entries = trace.bank() * percent / 100;
    EXPECT_GE(test::replay_policy(trace, entries), test::replay_lru(trace, entries) - 0.005);
  }
}

TEST(CachePolicy, NeverWorseThanLeastRecentlyUsedOnRealTraces) {
  std::vector<test::RouteTrace> traces = test::shared_route_traces();
  if (traces.empty()) GTEST_SKIP() << "no routing traces in ../shared/traces";
  for (const test::RouteTrace& trace : traces) expect_between_lru_and_optimum(trace);
}

}  // namespace
}  // namespace potluck
