#include "engine/kernels/exact_math.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

constexpr int kDraws = 200000;

double relative_error(double found, long double expected) {
  return static_cast<double>(std::fabs((found - expected) / expected));
}

TEST(ExactMath, ExpIsAccurate) {
  RandomDraws draws(1);
  double worst = 0;
  for (int i = 0; i < kDraws; ++i) {
    float x = draws.between(-87.29F, 88.71F);
    worst = std::max(worst, relative_error(exact_exp(x), std::exp(static_cast<long double>(x))));
    x = draws.between(-1, 1);
    worst = std::max(worst, relative_error(exact_exp(x), std::exp(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1.3e-7);
}

TEST(ExactMath, ExpAtTheEdges) {
  EXPECT_EQ(exact_exp(0.0F), 1.0F);
  EXPECT_EQ(exact_exp(-0.0F), 1.0F);
  EXPECT_EQ(exact_exp(INFINITY), INFINITY);
  EXPECT_EQ(exact_exp(89.0F), INFINITY);
  EXPECT_TRUE(std::isfinite(exact_exp(88.72F)));
  EXPECT_EQ(exact_exp(-INFINITY), 0.0F);
  EXPECT_EQ(exact_exp(-88.0F), 0.0F);
  EXPECT_TRUE(std::isnormal(exact_exp(-87.3F)));
  EXPECT_TRUE(std::isnan(exact_exp(NAN)));
  EXPECT_TRUE(std::isnan(exact_exp(-NAN)));
}

TEST(ExactMath, SigmoidAndSiluAreAccurate) {
  RandomDraws draws(2);
  double worst = 0;
  for (int i = 0; i < kDraws; ++i) {
    float x = draws.between(-80, 80);
    long double expected = 1 / (1 + std::exp(-static_cast<long double>(x)));
    worst = std::max(worst, relative_error(exact_sigmoid(x), expected));
    worst = std::max(worst, relative_error(exact_silu(x), x * expected));
  }
  EXPECT_LT(worst, 2.5e-7);
  EXPECT_EQ(exact_sigmoid(-200.0F), 0.0F);
  EXPECT_EQ(exact_sigmoid(200.0F), 1.0F);
  EXPECT_EQ(exact_silu(-200.0F), 0.0F);
  EXPECT_EQ(exact_silu(200.0F), 200.0F);
  EXPECT_EQ(exact_silu(0.0F), 0.0F);
  EXPECT_TRUE(std::isnan(exact_silu(NAN)));
}

TEST(ExactMath, Exp64IsAccurate) {
  RandomDraws draws(3);
  double worst = 0;
  for (int i = 0; i < kDraws; ++i) {
    double x = static_cast<double>(draws.between(-708, 709.7F)) * (i % 2 == 0 ? 1 : 0.01);
    worst = std::max(worst, relative_error(exact_exp64(x), std::exp(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 4e-16);
  EXPECT_EQ(exact_exp64(0), 1.0);
  EXPECT_EQ(exact_exp64(1000), INFINITY);
  EXPECT_EQ(exact_exp64(-1000), 0.0);
  EXPECT_TRUE(std::isnan(exact_exp64(NAN)));
}

TEST(ExactMath, Log64IsAccurate) {
  RandomDraws draws(4);
  double worst = 0;
  for (int i = 0; i < kDraws; ++i) {
    double x = std::exp2(static_cast<double>(draws.between(-1070, 1023)));
    if (i % 2 == 0) x = 1 + static_cast<double>(draws.between(-0.5F, 0.5F));
    if (x == 1) continue;
    worst = std::max(worst, relative_error(exact_log64(x), std::log(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1e-15);
  EXPECT_EQ(exact_log64(1), 0.0);
  EXPECT_EQ(exact_log64(0), -INFINITY);
  EXPECT_EQ(exact_log64(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(exact_log64(-1)));
  EXPECT_TRUE(std::isnan(exact_log64(NAN)));
}

TEST(ExactMath, SineAndCosineAreAccurate) {
  RandomDraws draws(5);
  double worst = 0;
  auto compare = [&](double x) {
    auto wide = static_cast<long double>(x);
    worst = std::max(worst, static_cast<double>(std::fabs(exact_sin64(x) - std::sin(wide))));
    worst = std::max(worst, static_cast<double>(std::fabs(exact_cos64(x) - std::cos(wide))));
  };
  for (int i = 0; i < kDraws; ++i) {
    double scale = std::exp2(static_cast<double>(draws.between(-20, 31)));
    compare(static_cast<double>(draws.between(-1, 1)) * scale);
    // Near the zeros, where the reduction cancels most.
    compare(static_cast<double>(draws.below(1000000000)) * 1.57079632679489661923);
  }
  EXPECT_LT(worst, 3e-16);
  EXPECT_EQ(exact_sin64(0), 0.0);
  EXPECT_EQ(exact_cos64(0), 1.0);
  double near_pi = 3.141592653589793;
  long double sine = std::sin(static_cast<long double>(near_pi));
  EXPECT_LT(relative_error(exact_sin64(near_pi), sine), 1e-13);
}

// The reduction counts quarter turns in whole numbers, which these have none of.
TEST(ExactMath, SineAndCosineOfWhatIsNoAngleAreNoNumber) {
  using Limits = std::numeric_limits<double>;
  for (double x : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), Limits::max(),
                   Limits::lowest(), 0x1p31, -0x1p31, 1e19, -1e300}) {
    EXPECT_TRUE(std::isnan(exact_sin64(x))) << x;
    EXPECT_TRUE(std::isnan(exact_cos64(x))) << x;
  }
  for (double x : {0x1.fffffffffffffp30, -0x1.fffffffffffffp30, Limits::denorm_min(), 0.0, -0.0}) {
    EXPECT_NEAR(exact_sin64(x), std::sin(x), 1e-12) << x;
    EXPECT_NEAR(exact_cos64(x), std::cos(x), 1e-12) << x;
  }
}

TEST(ExactMath, SumsLanesInTheWrittenTree) {
  float lanes[8] = {1e8F, 1, -1e8F, 2, 3, 4, 5, 6};
  float expected = ((1e8F + 3) + (-1e8F + 5)) + ((1.0F + 4) + (2.0F + 6));
  EXPECT_EQ(sum_lanes(lanes), expected);
}

}  // namespace
}  // namespace potluck
