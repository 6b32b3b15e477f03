// One query head over one chunk of positions: as in avx2/attention.cpp, with two blocks of keys, or
// 16 dimensions of the values, in a vector.
#include "engine/kernels/avx2/vector.h"
#include "engine/kernels/avx512/avx512.h"
#include "engine/kernels/avx512/vector.h"

namespace potluck::avx512 {
namespace {

constexpr uint32_t kPositions = 8;  // in one block of keys
constexpr uint32_t kLanes = 16;

struct F32 {
  static constexpr uint32_t kBytes = 4;
  static __m512 load_blocks(const std::byte* from, uint64_t stride) {
    return reinterpret_cast<__m512>(load_vector<2>(from, stride));
  }
  static __m512 load(const std::byte* from, __mmask16 lanes) {
    return _mm512_maskz_loadu_ps(lanes, from);
  }
};

struct F16 {
  static constexpr uint32_t kBytes = 2;
  static __m512 load_blocks(const std::byte* from, uint64_t stride) {
    return load_halves<2>(from, stride);
  }
  static __m512 load(const std::byte* from, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, from));
  }
};

// Scores of kPairs pairs of neighboring blocks.
template <class Element, uint32_t kPairs>
void score_blocks(const AttentionChunk& chunk, const float* query, uint32_t block, float* scores) {
  uint64_t stride = uint64_t{chunk.head_dim} * kPositions * Element::kBytes;
  const std::byte* keys = chunk.keys + block * stride;
  __m512 acc[kPairs] = {};
  for (uint32_t d = 0; d < chunk.head_dim; ++d) {
    __m512 q = _mm512_set1_ps(query[d]);
#pragma GCC unroll 4
    for (uint32_t b = 0; b < kPairs; ++b) {
      acc[b] = acc[b] + q * Element::load_blocks(keys + 2 * b * stride, stride);
    }
    keys += kPositions * Element::kBytes;
  }
  __m512 scale = _mm512_set1_ps(chunk.scale);
#pragma GCC unroll 4
  for (uint32_t b = 0; b < kPairs; ++b) {
    _mm512_storeu_ps(scores + kPositions * (block + 2 * b), _mm512_mul_ps(acc[b], scale));
  }
}

// The last block of an odd number, as both halves of a pair: what lies behind it is not ours.
template <class Element>
void score_last_block(const AttentionChunk& chunk, const float* query, uint32_t block,
                      float* scores) {
  const std::byte* keys =
      chunk.keys + uint64_t{block} * chunk.head_dim * kPositions * Element::kBytes;
  __m512 acc = _mm512_setzero_ps();
  for (uint32_t d = 0; d < chunk.head_dim; ++d) {
    acc = acc + query[d] * Element::load_blocks(keys, 0);
    keys += kPositions * Element::kBytes;
  }
  acc = _mm512_mul_ps(acc, _mm512_set1_ps(chunk.scale));
  store_rows(acc, kPositions, scores + kPositions * block);
}

template <class Element>
void score_positions(const AttentionChunk& chunk, const float* query, float* scores) {
  uint32_t block = chunk.begin / kPositions;
  uint32_t end = (chunk.end + kPositions - 1) / kPositions;
  for (; block + 8 <= end; block += 8) score_blocks<Element, 4>(chunk, query, block, scores);
  for (; block + 2 <= end; block += 2) score_blocks<Element, 1>(chunk, query, block, scores);
  if (block < end) score_last_block<Element>(chunk, query, block, scores);
}

// kVectors vectors of dimensions of the values, from dimension `first`, `lanes` of each.
template <class Element, uint32_t kVectors>
void weigh_values(const AttentionChunk& chunk, const float* weights, uint32_t first,
                  __mmask16 lanes, float* out) {
  uint64_t stride = uint64_t{chunk.value_dim} * Element::kBytes;
  const std::byte* values = chunk.values + chunk.begin * stride + first * Element::kBytes;
  __m512 acc[kVectors] = {};
  for (uint32_t p = chunk.begin; p < chunk.end; ++p) {
    __m512 weight = _mm512_set1_ps(weights[p]);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      acc[v] += weight * Element::load(values + v * kLanes * Element::kBytes, lanes);
    }
    values += stride;
  }
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kVectors; ++v) {
    _mm512_mask_storeu_ps(out + first + kLanes * v, lanes, acc[v]);
  }
}

template <class Element>
AttentionPartial attend(const AttentionChunk& chunk, const float* query, float* scores,
                        float* out) {
  constexpr __mmask16 kAll = 0xffff;
  score_positions<Element>(chunk, query, scores);
  uint32_t count = chunk.end - chunk.begin;
  float max = avx2::largest(scores + chunk.begin, count);
  float sum = avx2::exp_sum(scores + chunk.begin, count, max);
  uint32_t d = 0;
  uint32_t dims = chunk.value_dim;
  for (; d + 128 <= dims; d += 128) weigh_values<Element, 8>(chunk, scores, d, kAll, out);
  for (; d + 64 <= dims; d += 64) weigh_values<Element, 4>(chunk, scores, d, kAll, out);
  for (; d + 16 <= dims; d += 16) weigh_values<Element, 1>(chunk, scores, d, kAll, out);
  if (d < dims) weigh_values<Element, 1>(chunk, scores, d, 0xff, out);
  return {max, sum};
}

}  // namespace

AttentionPartial attention_chunk(const AttentionChunk& chunk, const float* query, float* scores,
                                 float* out) {
  return chunk.type == KvType::kF32 ? attend<F32>(chunk, query, scores, out)
                                    : attend<F16>(chunk, query, scores, out);
}

}  // namespace potluck::avx512
