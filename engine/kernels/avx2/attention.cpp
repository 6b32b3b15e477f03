// One query head over one chunk of positions. Keys: a lane is a position. Values: a lane is a
// dimension. Either way each lane adds in sequence; several vectors at a time hide the adder's
// wait.
#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/vector.h"

namespace potluck::avx2 {
namespace {

constexpr uint32_t kLanes = 8;

struct F32 {
  static constexpr uint32_t kBytes = 4;
  static __m256 load(const std::byte* from) { return _mm256_castsi256_ps(load_bytes(from)); }
};

struct F16 {
  static constexpr uint32_t kBytes = 2;
  static __m256 load(const std::byte* from) { return load_halves(from); }
};

// Scores of kBlocks neighboring blocks of 8 positions.
template <class Element, uint32_t kBlocks>
void score_blocks(const AttentionChunk& chunk, const float* query, uint32_t block, float* scores) {
  uint64_t stride = uint64_t{chunk.head_dim} * kLanes * Element::kBytes;
  const std::byte* keys = chunk.keys + block * stride;
  __m256 acc[kBlocks] = {};
  for (uint32_t d = 0; d < chunk.head_dim; ++d) {
    __m256 q = _mm256_broadcast_ss(query + d);
    for (uint32_t b = 0; b < kBlocks; ++b) {
      acc[b] = multiply_add(acc[b], q, Element::load(keys + b * stride));
    }
    keys += kLanes * Element::kBytes;
  }
  __m256 scale = _mm256_set1_ps(chunk.scale);
  for (uint32_t b = 0; b < kBlocks; ++b) {
    _mm256_storeu_ps(scores + kLanes * (block + b), _mm256_mul_ps(acc[b], scale));
  }
}

template <class Element>
void score_positions(const AttentionChunk& chunk, const float* query, float* scores) {
  constexpr uint32_t kBlocks = 8;
  uint32_t block = chunk.begin / kLanes;
  uint32_t end = (chunk.end + kLanes - 1) / kLanes;
  for (; block + kBlocks <= end; block += kBlocks) {
    score_blocks<Element, kBlocks>(chunk, query, block, scores);
  }
  for (; block + 2 <= end; block += 2) score_blocks<Element, 2>(chunk, query, block, scores);
  if (block < end) score_blocks<Element, 1>(chunk, query, block, scores);
}

// kVectors * 8 dimensions of the values, from dimension `first`.
template <class Element, uint32_t kVectors>
void weigh_values(const AttentionChunk& chunk, const float* weights, uint32_t first, float* out) {
  uint64_t stride = uint64_t{chunk.value_dim} * Element::kBytes;
  const std::byte* values = chunk.values + chunk.begin * stride + first * Element::kBytes;
  __m256 acc[kVectors] = {};
  for (uint32_t p = chunk.begin; p < chunk.end; ++p) {
    __m256 weight = _mm256_broadcast_ss(weights + p);
    for (uint32_t v = 0; v < kVectors; ++v) {
      __m256 value = Element::load(values + v * kLanes * Element::kBytes);
      acc[v] = multiply_add(acc[v], weight, value);
    }
    values += stride;
  }
  for (uint32_t v = 0; v < kVectors; ++v) _mm256_storeu_ps(out + first + kLanes * v, acc[v]);
}

template <class Element>
AttentionPartial attend(const AttentionChunk& chunk, const float* query, float* scores,
                        float* out) {
  score_positions<Element>(chunk, query, scores);
  uint32_t count = chunk.end - chunk.begin;
  float max = largest(scores + chunk.begin, count);
  float sum = exp_sum(scores + chunk.begin, count, max);
  uint32_t d = 0;
  for (; d + 64 <= chunk.value_dim; d += 64) weigh_values<Element, 8>(chunk, scores, d, out);
  for (; d + 16 <= chunk.value_dim; d += 16) weigh_values<Element, 2>(chunk, scores, d, out);
  for (; d < chunk.value_dim; d += kLanes) weigh_values<Element, 1>(chunk, scores, d, out);
  return {max, sum};
}

}  // namespace

AttentionPartial attention_chunk(const AttentionChunk& chunk, const float* query, float* scores,
                                 float* out) {
  return chunk.type == KvType::kF32 ? attend<F32>(chunk, query, scores, out)
                                    : attend<F16>(chunk, query, scores, out);
}

}  // namespace potluck::avx2
