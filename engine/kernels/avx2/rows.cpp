// Everything that works on one row of floats. Ends that fill no vector go to the scalar kernels
// where elements do not touch each other, and are masked where lanes are summed.
#include <cmath>

#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/vector.h"
#include "engine/kernels/exact_math.h"
#include "engine/kernels/fixed_point.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::avx2 {
namespace {

constexpr uint32_t kLanes = 8;
constexpr uint32_t kLargestBlock = 256;
constexpr int32_t kInfinityBits = 0x7f800000;

// The largest |x| of the block, as bits: the order of floats without sign is that of their bits,
// with infinity and then NaNs above all numbers.
int32_t largest_magnitude(const float* x, uint32_t block) {
  __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (uint32_t i = 0; i < block; i += kLanes) {
    __m256i bits = _mm256_and_si256(load_bytes(x + i), magnitude);
    largest = _mm256_max_epi32(largest, bits);
  }
  __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  __m128i two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 1)));
}

__m256i scaled_integers(const float* x, __m256 inverse) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}

// 32 values: quants and their two sums of 16. |x * inverse| is below 127.5, so nothing saturates.
void quantize32(const float* x, __m256 inverse, int8_t* quants, int16_t* sums) {
  __m256i a = _mm256_packs_epi32(scaled_integers(x, inverse), scaled_integers(x + 8, inverse));
  __m256i b =
      _mm256_packs_epi32(scaled_integers(x + 16, inverse), scaled_integers(x + 24, inverse));
  // Packing works on halves of 128 bits: dwords come out as 0 2 4 6 | 1 3 5 7.
  __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(quants), packed);
  __m256i fours = _mm256_maddubs_epi16(_mm256_set1_epi8(1), packed);
  __m256i sum = _mm256_madd_epi16(fours, _mm256_set1_epi16(1));
  sum = _mm256_hadd_epi32(sum, sum);
  sum = _mm256_hadd_epi32(sum, sum);
  sums[0] = static_cast<int16_t>(_mm256_extract_epi32(sum, 0));
  sums[1] = static_cast<int16_t>(_mm256_extract_epi32(sum, 4));
}

// A block of 32 or 256 values that is all there.
void quantize_block(const float* x, uint32_t block, int8_t* quants, float* scale, int16_t* sums) {
  int32_t bits = largest_magnitude(x, block);
  float amax;
  __builtin_memcpy(&amax, &bits, sizeof amax);
  if (bits >= kInfinityBits || amax < 0x1p-100F) {
    *scale = bits >= kInfinityBits ? __builtin_nanf("") : 0.0F;
    __builtin_memset(quants, 0, block);
    __builtin_memset(sums, 0, block / 16 * sizeof(int16_t));
    return;
  }
  *scale = amax / 127.0F;
  __m256 inverse = _mm256_set1_ps(127.0F / amax);
  for (uint32_t i = 0; i < block; i += 32) quantize32(x + i, inverse, quants + i, sums + i / 16);
}

float lanes_sum(__m256 lanes) {
  float stored[kLanes];
  _mm256_storeu_ps(stored, lanes);
  return sum_lanes(stored);
}

}  // namespace

void quantize(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
              int16_t* sums) {
  uint32_t begin = 0;
  for (; begin + block <= count; begin += block) {
    quantize_block(x + begin, block, quants + begin, scales + begin / block, sums + begin / 16);
  }
  if (begin == count) return;
  float padded[kLargestBlock] = {};
  __builtin_memcpy(padded, x + begin, (count - begin) * sizeof(float));
  quantize_block(padded, block, quants + begin, scales + begin / block, sums + begin / 16);
}

void rms_norm(const float* x, const float* weight, uint32_t count, float eps, float* y) {
  uint32_t whole = count - count % kLanes;
  __m256 lanes = _mm256_setzero_ps();
  for (uint32_t i = 0; i < whole; i += kLanes) {
    __m256 values = _mm256_loadu_ps(x + i);
    lanes = multiply_add(lanes, values, values);
  }
  if (whole < count) {
    __m256 values = _mm256_maskload_ps(x + whole, lane_mask(count - whole));
    lanes = multiply_add(lanes, values, values);
  }
  float mean = lanes_sum(lanes) / static_cast<float>(count);
  float scale = 1.0F / std::sqrt(mean + eps);
  __m256 scales = _mm256_set1_ps(scale);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), scales);
    if (weight != nullptr) scaled = _mm256_mul_ps(scaled, _mm256_loadu_ps(weight + i));
    _mm256_storeu_ps(y + i, scaled);
  }
  for (uint32_t i = whole; i < count; ++i) {
    float scaled = x[i] * scale;
    y[i] = weight != nullptr ? scaled * weight[i] : scaled;
  }
}

void swiglu(const float* gate, const float* up, uint32_t count, float* y) {
  uint32_t whole = count - count % kLanes;
  __m256 one = _mm256_set1_ps(1.0F);
  __m256 sign = _mm256_set1_ps(-0.0F);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    __m256 g = _mm256_loadu_ps(gate + i);
    __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, exp8(_mm256_xor_ps(g, sign))));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
  }
  scalar::swiglu(gate + whole, up + whole, count - whole, y + whole);
}

void swiglu_oai(const float* gate, const float* up, uint32_t count, float* y) {
  uint32_t whole = count - count % kLanes;
  __m256 one = _mm256_set1_ps(1.0F);
  __m256 sign = _mm256_set1_ps(-0.0F);
  __m256 limit = _mm256_set1_ps(7.0F);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    // Minimum and maximum return their second operand if either is a NaN.
    __m256 g = _mm256_min_ps(limit, _mm256_loadu_ps(gate + i));
    __m256 u = _mm256_min_ps(limit, _mm256_loadu_ps(up + i));
    u = _mm256_max_ps(_mm256_xor_ps(limit, sign), u);
    __m256 scaled = _mm256_xor_ps(_mm256_mul_ps(_mm256_set1_ps(1.702F), g), sign);
    __m256 activated = _mm256_div_ps(g, _mm256_add_ps(one, exp8(scaled)));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(activated, _mm256_add_ps(u, one)));
  }
  scalar::swiglu_oai(gate + whole, up + whole, count - whole, y + whole);
}

float exp_sum(float* x, uint32_t count, float max) {
  uint32_t whole = count - count % kLanes;
  __m256 largest = _mm256_set1_ps(max);
  __m256 lanes = _mm256_setzero_ps();
  for (uint32_t i = 0; i < whole; i += kLanes) {
    __m256 values = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), largest));
    _mm256_storeu_ps(x + i, values);
    lanes = _mm256_add_ps(lanes, values);
  }
  if (whole < count) {
    __m256i mask = lane_mask(count - whole);
    __m256 values = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + whole, mask), largest));
    values = _mm256_and_ps(values, _mm256_castsi256_ps(mask));
    _mm256_maskstore_ps(x + whole, mask, values);
    lanes = _mm256_add_ps(lanes, values);
  }
  return lanes_sum(lanes);
}

// Adding 1.5 * 2^52 rounds a double below 2^51 to the nearest even integer and leaves that integer,
// in two's complement, in the low bits of the sum.
bool accumulate(const float* y, uint32_t count, float weight, int32_t fraction_bits,
                int64_t* sums) {
  __m256d scale = _mm256_set1_pd(fixed_point_scale(fraction_bits));
  __m256d limit = _mm256_set1_pd(static_cast<double>(kAddendLimit));
  __m256d magic = _mm256_set1_pd(0x1.8p52);
  __m256d sign = _mm256_set1_pd(-0.0);
  __m256d all_fit = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
  uint32_t whole = count - count % 4;
  for (uint32_t i = 0; i < whole; i += 4) {
    __m128 products = _mm_mul_ps(_mm_loadu_ps(y + i), _mm_set1_ps(weight));
    __m256d scaled = _mm256_mul_pd(_mm256_cvtps_pd(products), scale);
    __m256d fits = _mm256_cmp_pd(_mm256_andnot_pd(sign, scaled), limit, _CMP_LE_OQ);
    __m256i shifted = _mm256_castpd_si256(_mm256_add_pd(scaled, magic));
    __m256i addends = _mm256_sub_epi64(shifted, _mm256_castpd_si256(magic));
    addends = _mm256_and_si256(addends, _mm256_castpd_si256(fits));
    __m256i* to = reinterpret_cast<__m256i*>(sums + i);
    _mm256_storeu_si256(to, _mm256_add_epi64(_mm256_loadu_si256(to), addends));
    all_fit = _mm256_and_pd(all_fit, fits);
  }
  bool flag = _mm256_movemask_pd(all_fit) != 15;
  return scalar::accumulate(y + whole, count - whole, weight, fraction_bits, sums + whole) || flag;
}

}  // namespace potluck::avx2
