// Attention over one chunk: tiles of four queries and two vectors, by type of cache.
#include "engine/kernels/attention_tiles.h"
#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/vector.h"

namespace potluck::avx2 {
namespace {

struct NoScale {};

struct Common {
  using Vector = __m256;
  static constexpr uint32_t kLanes = 8;
  static constexpr uint32_t kQueries = 4;
  static constexpr uint32_t kVectors = 2;

  static Vector broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  template <bool kWhole>
  static Vector load(const float* from) {
    return _mm256_loadu_ps(from);
  }
  template <bool kWhole>
  static void store(float* to, Vector values) {
    _mm256_storeu_ps(to, values);
  }
  static float largest(const float* scores, uint32_t count) { return avx2::largest(scores, count); }
  static float exp_sum(float* scores, uint32_t count, float max) {
    return avx2::exp_sum(scores, count, max);
  }
};

// Caches whose numbers need no scale.
template <class Element>
struct Plain : Common {
  static constexpr KvType kType = Element::kType;
  using KeyScale = NoScale;
  using ValuePlace = uint64_t;

  static KeyScale key_scale(const std::byte*, uint64_t) { return {}; }
  static Vector keys(const std::byte* block, uint64_t, uint32_t d, KeyScale) {
    return Element::load(block + uint64_t{d} * kLanes * Element::kBytes);
  }
  static ValuePlace value_place(uint32_t d) { return uint64_t{d} * Element::kBytes; }
  template <bool kWhole>
  static Vector values(const std::byte* row, ValuePlace place) {
    return Element::load(row + place);
  }
};

struct F32 {
  static constexpr KvType kType = KvType::kF32;
  static constexpr uint32_t kBytes = 4;
  static __m256 load(const std::byte* from) { return _mm256_castsi256_ps(load_bytes(from)); }
};

struct F16 {
  static constexpr KvType kType = KvType::kF16;
  static constexpr uint32_t kBytes = 2;
  static __m256 load(const std::byte* from) { return load_halves(from); }
};

struct Q8 : Common {
  static constexpr KvType kType = KvType::kQ8_0;
  using KeyScale = __m256;
  struct ValuePlace {
    uint64_t scale;
    uint64_t quants;
  };

  static __m256 quants(const std::byte* from) {
    __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  static KeyScale key_scale(const std::byte* block, uint64_t) { return load_halves(block); }
  static Vector keys(const std::byte* block, uint64_t, uint32_t d, KeyScale scale) {
    return scale * quants(block + 2 * kKeyGroup + uint64_t{d} * kKeyGroup);
  }
  static ValuePlace value_place(uint32_t d) {
    uint64_t block = kv_bytes(kType, d - d % kKvBlock);
    return {block, block + 2 + d % kKvBlock};
  }
  template <bool kWhole>
  static Vector values(const std::byte* row, const ValuePlace& place) {
    int16_t half;
    __builtin_memcpy(&half, row + place.scale, sizeof half);
    return _mm256_cvtph_ps(_mm_set1_epi16(half)) * quants(row + place.quants);
  }
};

}  // namespace

void attention_chunk(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                     float* scratch) {
  using attention_tiles::attend_all;
  switch (chunk.type) {
    case KvType::kF32:
      return attend_all<Plain<F32>>(chunk, queries, scratch);
    case KvType::kF16:
      return attend_all<Plain<F16>>(chunk, queries, scratch);
    case KvType::kQ8_0:
      return attend_all<Q8>(chunk, queries, scratch);
  }
}

}  // namespace potluck::avx2
