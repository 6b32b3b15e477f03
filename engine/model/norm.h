// The norm of a residual, as the model has it:
//
//   RMS norm     (x / sqrt(mean(x^2) + eps)) * weight
//   layer norm   the same of x - mean(x), where the mean's sum is in 8 lanes; + bias if there is
//   one
//
// Pure function; any thread.
#pragma once

#include <span>

#include "engine/kernels/kernels.h"
#include "engine/model/config.h"

namespace potluck {

// x and y [weight.size()]; x may be y. An empty bias adds nothing.
void normalize(const ModelConfig& config, const KernelTable& kernels, const float* x,
               std::span<const float> weight, std::span<const float> bias, float* y);

// A layer norm, whatever the model's other norms are.
void layer_norm(const KernelTable& kernels, float epsilon, const float* x,
                std::span<const float> weight, std::span<const float> bias, float* y);

}  // namespace potluck
