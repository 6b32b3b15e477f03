// Query heads over one chunk of positions, one after the other.
#include <limits>

#include "engine/kernels/scalar/scalar.h"

namespace potluck::scalar {
namespace {

float score(const AttentionChunk& chunk, const float* query, uint32_t position) {
  float sum = 0;
  for (uint32_t d = 0; d < chunk.head_dim; ++d) {
    sum += query[d] * key_at(chunk.type, chunk.head_dim, chunk.keys, position, d);
  }
  return sum * chunk.scale;
}

void attend(const AttentionChunk& chunk, const AttentionQuery& query, float* scores) {
  float max = -std::numeric_limits<float>::infinity();
  for (uint32_t p = query.begin; p < query.end; ++p) {
    scores[p] = score(chunk, query.query, p);
    // Written so that a NaN is skipped; it stays in the weights and fails the row there.
    if (scores[p] > max) max = scores[p];
  }
  max += 0.0F;  // -0 becomes +0: which zero came first must not show
  float sum = exp_sum(scores + query.begin, query.end - query.begin, max);
  for (uint32_t d = 0; d < chunk.value_dim; ++d) {
    float value = 0;
    for (uint32_t p = query.begin; p < query.end; ++p) {
      value += scores[p] * value_at(chunk.type, chunk.value_dim, chunk.values, p, d);
    }
    query.out[d] = value;
  }
  *query.partial = {max, sum};
}

}  // namespace

void attention_chunk(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                     float* scratch) {
  for (const AttentionQuery& query : queries) attend(chunk, query, scratch);
}

}  // namespace potluck::scalar
