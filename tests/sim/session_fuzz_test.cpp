// Sessions with members, strangers and coordinators that say anything at any time, against the real
// loops: nothing aborts, nothing waits for ever, what can be kept is bounded, the pool generates
// what a solo run generates, and it comes to rest once they are silent. POTLUCK_SIM_SEED=n runs
// seed n alone, POTLUCK_SIM_RUNS=n runs seeds 1 to n, POTLUCK_SIM_FIRST=n begins at another seed,
// POTLUCK_SIM_SECONDS=n goes on for so long.
#include <chrono>
#include <cstdlib>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/fuzz_session.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

constexpr uint64_t kFuzzSeeds = 30;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// Which seeds to run.
struct Course {
  uint64_t first = from_environment("POTLUCK_SIM_FIRST", 1);
  uint64_t last = from_environment("POTLUCK_SIM_RUNS", first + kFuzzSeeds - 1);
  std::chrono::seconds time{from_environment("POTLUCK_SIM_SECONDS", 0)};
  uint64_t only = from_environment("POTLUCK_SIM_SEED", 0);
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  bool has(uint64_t seed) const {
    if (only != 0) return seed == only;
    if (time.count() == 0) return seed <= last;
    return std::chrono::steady_clock::now() - start < time;
  }
  bool is_long() const { return time.count() > 0 || last - first >= kFuzzSeeds; }
};

class SessionFuzz : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = std::make_unique<FuzzWorld>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { world_.reset(); }

  static std::unique_ptr<FuzzWorld> world_;
};

std::unique_ptr<FuzzWorld> SessionFuzz::world_;

TEST_F(SessionFuzz, AnyMessagesAtAnyTimeStopNothing) {
  Course course;
  FuzzTotals totals;
  for (uint64_t seed = course.only == 0 ? course.first : course.only; course.has(seed); ++seed) {
    if (course.is_long()) std::cerr << "seed " << seed << "\n";
    FuzzSession session(*world_, seed);
    std::string failure = session.run(&totals);
    ASSERT_EQ(failure, "") << "replay with POTLUCK_SIM_SEED=" << seed << "\n" << session.log();
  }
  if (totals.sessions >= kFuzzSeeds) {
    EXPECT_EQ(totals.outcomes.missing(), "");
  }
  std::cerr << totals.text();
}

// 931: a member said that its units were lost, and later the same device, which had them, had no
// reason to report them again.
TEST_F(SessionFuzz, SeedsThatOnceFailed) {
  for (uint64_t seed : {931}) {
    FuzzTotals totals;
    FuzzSession session(*world_, seed);
    std::string failure = session.run(&totals);
    EXPECT_EQ(failure, "") << "seed " << seed << "\n" << session.log();
  }
}

// Much longer than what any peer may make us remember.
TEST_F(SessionFuzz, FloodsLeaveNothingBehind) {
  for (uint64_t seed : {2, 3}) {
    FuzzTotals totals;
    FuzzSession session(*world_, seed);
    std::string failure = session.run_rounds(4, 3000, &totals);
    ASSERT_EQ(failure, "") << "seed " << seed << "\n" << session.log();
    std::cerr << totals.text();
  }
}

}  // namespace
}  // namespace potluck::sim
