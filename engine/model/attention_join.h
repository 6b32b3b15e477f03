// How parts of attention (chunks, runs) become one: see attention.h. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "engine/kernels/exact_math.h"
#include "engine/kernels/state_kernels.h"

namespace potluck {

// out = the parts' outputs, relative to `largest`; returns their sum. In sequence.
inline float join_parts(const StateKernels& kernels, std::span<const AttentionPartial> parts,
                        const float* outputs, float largest, uint32_t dimensions, float* out) {
  float sum = 0;
  std::fill(out, out + dimensions, 0.0F);
  for (size_t i = 0; i < parts.size(); ++i) {
    float factor = exact_exp(parts[i].max_score - largest);
    sum += factor * parts[i].sum;
    kernels.add_scaled(factor, outputs + i * dimensions, dimensions, out);
  }
  return sum;
}

// The largest score of all parts, and of a sink that no value belongs to; null: there is none.
inline float largest_score(std::span<const AttentionPartial> parts, const float* sink) {
  float largest = parts.front().max_score;
  if (sink != nullptr) largest = std::max(largest, *sink);
  for (const AttentionPartial& part : parts.subspan(1)) {
    largest = std::max(largest, part.max_score);
  }
  return largest;
}

}  // namespace potluck
