// The delta rule of Schlag et al. (2021), gated as in Gated DeltaNet (Yang et al., 2024), and the
// plain sum of linear attention and state spaces (Dao and Gu, 2024). Rows of S are keys: loops run
// over a row, so lanes are values and every sum over the keys is in sequence.
#include "engine/model/recurrent_step.h"

#include <algorithm>

namespace potluck {

void RecurrentStep::correct(const float* before, float* after, float* out) const {
  std::fill_n(out, value_dim, 0.0F);
  for (uint32_t k = 0; k < key_dim; ++k) {
    const float* from = before + uint64_t{k} * value_dim;
    float* to = after + uint64_t{k} * value_dim;
    float factor = key[k];
    float decay = decays[k * decay_stride];
    for (uint32_t v = 0; v < value_dim; ++v) {
      // Two passes over S, by far the largest thing here, instead of one for each of the four
      // steps.
      float decayed = from[v] * decay;
      to[v] = decayed;
      out[v] += decayed * factor;
    }
  }
  for (uint32_t v = 0; v < value_dim; ++v) value[v] = (value[v] - out[v]) * beta;
  std::fill_n(out, value_dim, 0.0F);
  for (uint32_t k = 0; k < key_dim; ++k) {
    float* to = after + uint64_t{k} * value_dim;
    float factor = key[k];
    float read = query[k];
    for (uint32_t v = 0; v < value_dim; ++v) {
      to[v] += factor * value[v];
      out[v] += to[v] * read;
    }
  }
}

void RecurrentStep::add(const float* before, float* after, float* out) const {
  for (uint32_t v = 0; v < value_dim; ++v) value[v] *= beta;
  std::fill_n(out, value_dim, 0.0F);
  for (uint32_t k = 0; k < key_dim; ++k) {
    const float* from = before + uint64_t{k} * value_dim;
    float* to = after + uint64_t{k} * value_dim;
    float factor = key[k];
    float read = query[k];
    float decay = decays[k * decay_stride];
    for (uint32_t v = 0; v < value_dim; ++v) {
      float decayed = from[v] * decay;
      to[v] = decayed + factor * value[v];
      out[v] += to[v] * read;
    }
  }
}

void RecurrentStep::run(const float* before, float* after, float* out) const {
  if (corrects) return correct(before, after, out);
  add(before, after, out);
}

}  // namespace potluck
