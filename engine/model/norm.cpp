#include "engine/model/norm.h"

#include "engine/kernels/exact_math.h"
#include "engine/model/rows.h"

namespace potluck {
namespace {

// In the order of the RMS norm's sum, so that lanes are independent here, too.
float mean_of(const float* x, uint32_t count) {
  float lanes[8] = {};
  for (uint32_t i = 0; i < count; ++i) lanes[i % 8] += x[i];
  return sum_lanes(lanes) / static_cast<float>(count);
}

}  // namespace

void layer_norm(const KernelTable& kernels, float epsilon, const float* x,
                std::span<const float> weight, std::span<const float> bias, float* y) {
  auto count = static_cast<uint32_t>(weight.size());
  const float mean = mean_of(x, count);
  for (uint32_t i = 0; i < count; ++i) y[i] = x[i] - mean;
  // The variance is the mean square of what is left.
  kernels.rms_norm(y, weight.data(), count, epsilon, y);
  add_to(y, bias);
}

void normalize(const ModelConfig& config, const KernelTable& kernels, const float* x,
               std::span<const float> weight, std::span<const float> bias, float* y) {
  if (config.norm == NormKind::kLayer) {
    return layer_norm(kernels, config.norm_epsilon, x, weight, bias, y);
  }
  kernels.rms_norm(x, weight.data(), static_cast<uint32_t>(weight.size()), config.norm_epsilon, y);
  add_to(y, bias);
}

}  // namespace potluck
