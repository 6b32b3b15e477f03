// One query head over one chunk of positions.
#include <limits>

#include "engine/kernels/scalar/scalar.h"

namespace potluck::scalar {
namespace {

constexpr uint32_t kPositions = 8;  // in one block of keys

float element(KvType type, const std::byte* values, uint64_t index) {
  if (type == KvType::kF32) return load<float>(values + 4 * index);
  return half_to_float(load<uint16_t>(values + 2 * index));
}

float score(const AttentionChunk& chunk, const float* query, uint32_t position) {
  uint64_t block = uint64_t{position / kPositions} * chunk.head_dim;
  float sum = 0;
  for (uint32_t d = 0; d < chunk.head_dim; ++d) {
    uint64_t index = (block + d) * kPositions + position % kPositions;
    sum += query[d] * element(chunk.type, chunk.keys, index);
  }
  return sum * chunk.scale;
}

}  // namespace

AttentionPartial attention_chunk(const AttentionChunk& chunk, const float* query, float* scores,
                                 float* out) {
  float max = -std::numeric_limits<float>::infinity();
  for (uint32_t p = chunk.begin; p < chunk.end; ++p) {
    scores[p] = score(chunk, query, p);
    if (scores[p] > max) max = scores[p];
  }
  max += 0.0F;  // -0 becomes +0: which zero came first must not show
  float sum = exp_sum(scores + chunk.begin, chunk.end - chunk.begin, max);
  for (uint32_t d = 0; d < chunk.value_dim; ++d) {
    float value = 0;
    for (uint32_t p = chunk.begin; p < chunk.end; ++p) {
      value += scores[p] * element(chunk.type, chunk.values, uint64_t{p} * chunk.value_dim + d);
    }
    out[d] = value;
  }
  return {max, sum};
}

}  // namespace potluck::scalar
