// Attention over one chunk: tiles of eight queries and two vectors, by type of cache. A vector is
// two groups of keys, or 16 dimensions of the values.
#include "engine/kernels/attention_tiles.h"
#include "engine/kernels/avx2/vector.h"
#include "engine/kernels/avx512/avx512.h"
#include "engine/kernels/avx512/vector.h"

namespace potluck::avx512 {
namespace {

constexpr __mmask16 kEight = 0xff;  // the last dimensions, if they fill half a vector

struct NoScale {};

struct Common {
  using Vector = __m512;
  static constexpr uint32_t kLanes = 16;
  static constexpr uint32_t kQueries = 8;
  static constexpr uint32_t kVectors = 2;

  static Vector broadcast(const float* from) { return _mm512_set1_ps(*from); }
  template <bool kWhole>
  static Vector load(const float* from) {
    return kWhole ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(kEight, from);
  }
  template <bool kWhole>
  static void store(float* to, Vector values) {
    if constexpr (kWhole) {
      _mm512_storeu_ps(to, values);
    } else {
      _mm512_mask_storeu_ps(to, kEight, values);
    }
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
  static Vector keys(const std::byte* block, uint64_t group, uint32_t d, KeyScale) {
    return Element::load_groups(block + uint64_t{d} * kKeyGroup * Element::kBytes, group);
  }
  static ValuePlace value_place(uint32_t d) { return uint64_t{d} * Element::kBytes; }
  template <bool kWhole>
  static Vector values(const std::byte* row, ValuePlace place) {
    return Element::template load<kWhole>(row + place);
  }
};

struct F32 {
  static constexpr KvType kType = KvType::kF32;
  static constexpr uint32_t kBytes = 4;
  static __m512 load_groups(const std::byte* from, uint64_t group) {
    return reinterpret_cast<__m512>(load_vector<2>(from, group));
  }
  template <bool kWhole>
  static __m512 load(const std::byte* from) {
    return kWhole ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(kEight, from);
  }
};

struct F16 {
  static constexpr KvType kType = KvType::kF16;
  static constexpr uint32_t kBytes = 2;
  static __m512 load_groups(const std::byte* from, uint64_t group) {
    return load_halves<2>(from, group);
  }
  template <bool kWhole>
  static __m512 load(const std::byte* from) {
    return _mm512_cvtph_ps(kWhole ? load32(from) : _mm256_castsi128_si256(load16(from)));
  }
};

struct Q8 : Common {
  static constexpr KvType kType = KvType::kQ8_0;
  using KeyScale = __m512;
  struct ValuePlace {
    uint64_t scale;
    uint64_t quants;
  };

  static KeyScale key_scale(const std::byte* block, uint64_t group) {
    return load_halves<2>(block, group);
  }
  static Vector keys(const std::byte* block, uint64_t group, uint32_t d, KeyScale scale) {
    const std::byte* from = block + 2 * kKeyGroup + uint64_t{d} * kKeyGroup;
    return scale * to_float<2>(load_signed<2>(from, group));
  }
  static ValuePlace value_place(uint32_t d) {
    uint64_t block = kv_bytes(kType, d - d % kKvBlock);
    return {block, block + 2 + d % kKvBlock};
  }
  template <bool kWhole>
  static Vector values(const std::byte* row, const ValuePlace& place) {
    int16_t half;
    __builtin_memcpy(&half, row + place.scale, sizeof half);
    const std::byte* from = row + place.quants;
    __m128i bytes = kWhole ? load16(from) : load8(from);
    __m512 quants = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    return _mm512_cvtph_ps(_mm256_set1_epi16(half)) * quants;
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

}  // namespace potluck::avx512
