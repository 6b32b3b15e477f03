#include "protocol/deadline_estimator.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kRows[] = {0, 1, 2, 3, 7, 8, 31, 32, 100, 511, 512, 4096, 70'000, ~0u};

// Nanoseconds are whole numbers, and a large call has many rows.
Duration rounded(Duration bound) {
  return bound + bound / 1000 + milliseconds(1);
}

TEST(DeadlineEstimator, IsGenerousUntilItKnows) {
  DeadlineEstimator estimator;
  EXPECT_TRUE(estimator.knows_nothing());
  EXPECT_FALSE(estimator.estimate(1));
  Duration first = estimator.deadline(1);
  EXPECT_GE(first, seconds(2));
  EXPECT_GT(estimator.deadline(32), first + seconds(5)) << "the first deadline depends on rows";
  for (int i = 0; i < 7; ++i) estimator.record(milliseconds(1), 1);
  EXPECT_EQ(estimator.deadline(1), first);
  estimator.record(milliseconds(1), 1);
  EXPECT_EQ(estimator.deadline(1), DeadlineEstimator::kFloor);
}

// Calls cost 40 ms, and 2 ms a row.
TEST(DeadlineEstimator, TellsWhatACallCostsFromWhatARowCosts) {
  DeadlineEstimator estimator;
  auto cost = [](uint32_t rows) { return milliseconds(40 + 2 * rows); };
  for (int i = 0; i < 20; ++i) {
    for (uint32_t rows : {1u, 64u, 256u}) estimator.record(cost(rows), rows);
  }
  for (uint32_t rows : {1u, 64u, 256u, 512u}) {
    EXPECT_GE(*estimator.estimate(rows), cost(rows)) << rows;
    EXPECT_LE(*estimator.estimate(rows), cost(rows) * 13 / 10) << rows;
  }
  // All rows at the price of the first one would be 21 s.
  EXPECT_LE(*estimator.estimate(512), milliseconds(1200));
  EXPECT_NEAR(estimator.rows_for(seconds(1)), 500, 60);
}

TEST(DeadlineEstimator, ForgetsWhatIsLongPast) {
  DeadlineEstimator estimator;
  for (int i = 0; i < 10; ++i) estimator.record(milliseconds(1000), 1);
  EXPECT_EQ(estimator.deadline(1), milliseconds(3000));
  for (int i = 0; i < 100; ++i) estimator.record(milliseconds(100), 1);
  EXPECT_LE(estimator.deadline(1), milliseconds(310));
}

TEST(DeadlineEstimator, BecomesSlowWithinAFewAnswers) {
  DeadlineEstimator estimator;
  for (int i = 0; i < 30; ++i) estimator.record(milliseconds(2), 1);
  for (int i = 0; i < 5; ++i) estimator.record(milliseconds(800), 1);
  EXPECT_EQ(estimator.deadline(1), milliseconds(2400));
}

TEST(DeadlineEstimator, OddMeasurementsDoNoHarm) {
  DeadlineEstimator estimator;
  estimator.record(Duration::max(), 0);
  estimator.record(Duration::min(), ~0u);
  for (uint32_t rows : kRows) {
    EXPECT_GE(estimator.deadline(rows), DeadlineEstimator::kFloor);
    EXPECT_LE(estimator.deadline(rows, Duration::max()), DeadlineEstimator::kCap);
    EXPECT_GE(estimator.deadline(rows, Duration::min()), DeadlineEstimator::kFloor);
    EXPECT_GE(estimator.rows_for(seconds(1)), 1u);
  }
}

TEST(DeadlineEstimator, RowsGrowInStepsBeyondWhatWasTried) {
  DeadlineEstimator estimator;
  // Disk-bound: the experts have to be read for any number of rows.
  for (int i = 0; i < 4; ++i) {
    uint32_t rows = estimator.rows_for(seconds(1));
    estimator.record(seconds(2) + microseconds(rows), rows);
  }
  EXPECT_GT(estimator.rows_for(seconds(1)), 64u);
}

// For any history: between floor and cap, more rows never have less time, and one more answer of
// any kind moves no deadline by more than kLargestStep, up or down.
TEST(DeadlineEstimator, AnyHistoryKeepsTheBounds) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CounterRandom random(seed);
    DeadlineEstimator estimator;
    uint64_t answers = random.bits(0) % 120;
    for (uint64_t i = 1; i <= answers; ++i) {
      // From nanoseconds to hours, and rows of all sizes; often of few kinds.
      double exponent = 14 * random.uniform(i);
      auto took = Duration(static_cast<int64_t>(std::pow(10, exponent)));
      uint32_t rows = kRows[random.bits(i, 1) % (1 + seed % std::size(kRows))];
      DeadlineEstimator before = estimator;
      estimator.record(took, rows);
      Duration last{0};
      for (uint32_t asked : kRows) {
        Duration deadline = estimator.deadline(asked);
        ASSERT_GE(deadline, DeadlineEstimator::kFloor);
        ASSERT_LE(deadline, DeadlineEstimator::kCap);
        ASSERT_LE(deadline, DeadlineEstimator::kCallCap +
                                std::min(asked, 80u) * DeadlineEstimator::kRowCap +
                                DeadlineEstimator::kRowCap);
        ASSERT_GE(deadline, last) << asked << " rows";
        last = deadline;
        if (i == 1) continue;
        Duration more = std::max(*before.estimate(asked), *estimator.estimate(asked));
        Duration less = std::min(*before.estimate(asked), *estimator.estimate(asked));
        ASSERT_LE(more, rounded(DeadlineEstimator::kLargestStep * less)) << asked;
        if (i <= 8) continue;
        ASSERT_LE(deadline, rounded(DeadlineEstimator::kLargestStep * before.deadline(asked)));
        ASSERT_LE(before.deadline(asked), rounded(DeadlineEstimator::kLargestStep * deadline));
      }
    }
  }
}

}  // namespace
}  // namespace potluck
