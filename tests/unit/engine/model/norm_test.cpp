// Norms against their formulas in float64.
#include "engine/model/norm.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kCount = 75;  // no multiple of the lanes

std::vector<float> norm_inputs(uint64_t seed, double around) {
  std::vector<float> values;
  for (uint32_t i = 0; i < kCount; ++i) {
    values.push_back(static_cast<float>(around + 2 * CounterRandom(seed).uniform(i) - 1));
  }
  return values;
}

std::vector<double> norm_oracle(const ModelConfig& config, std::span<const float> x,
                                std::span<const float> weight, std::span<const float> bias) {
  double mean = 0;
  for (float value : x) mean += value / kCount;
  if (config.norm == NormKind::kRms) mean = 0;
  double squares = 0;
  for (float value : x) squares += (value - mean) * (value - mean) / kCount;
  std::vector<double> y;
  for (uint32_t i = 0; i < kCount; ++i) {
    double normed = (x[i] - mean) / std::sqrt(squares + config.norm_epsilon);
    y.push_back(normed * weight[i] + (bias.empty() ? 0 : bias[i]));
  }
  return y;
}

TEST(Norm, AgreesWithItsFormula) {
  const std::vector<float> x = norm_inputs(1, 3);
  const std::vector<float> weight = norm_inputs(2, 1);
  const std::vector<float> biases = norm_inputs(3, 0);
  for (NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    for (bool has_bias : {false, true}) {
      ModelConfig config;
      config.norm = kind;
      config.norm_epsilon = 0.01F;
      const std::span<const float> bias = has_bias ? biases : std::span<const float>();
      const std::vector<double> expected = norm_oracle(config, x, weight, bias);
      std::vector<float> first;
      for (const KernelTable* kernels : available_kernels()) {
        std::vector<float> y(kCount);
        normalize(config, *kernels, x.data(), weight, bias, y.data());
        for (uint32_t i = 0; i < kCount; ++i) EXPECT_NEAR(y[i], expected[i], 2e-6);
        if (first.empty()) first = y;
        EXPECT_EQ(y, first) << kernels->name;
        std::vector<float> in_place = x;
        normalize(config, *kernels, in_place.data(), weight, bias, in_place.data());
        EXPECT_EQ(in_place, first) << kernels->name;
      }
    }
  }
}

}  // namespace
}  // namespace potluck
