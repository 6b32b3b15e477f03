// Attention over one chunk of positions, for the vectors V of any instruction set
// (panel_vectors.h): a vector is one or two groups of keys, or so many dimensions of the values. A
// tile is a few queries and a few vectors: of positions for the scores, of dimensions for the sums
// of values. Keys and values are loaded and converted once per tile and meet all of its queries;
// every lane adds in sequence. A type of KV cache is a type of vectors with
//
//   kLanes                                numbers in a vector
//   KeyScale key_scale(block, group)      from the first byte of a block of keys; groups of keys
//                                         are `group` bytes apart
//   keys(block, group, d, scale)          kLanes positions of dimension d of a block
//   ValuePlace value_place(d)             of dimension d in any position
//   values(row, place)                    kLanes dimensions of one position
//
// Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"
#include "engine/kernels/row_functions.h"

namespace potluck::attention_tiles {

using tiles::PanelVectors;

// What all types of cache have. A last half vector of dimensions is taken by vectors of one panel.
template <PanelVectors V>
struct CacheVectors {
  using Vectors = V;
  using Vector = typename V::Float;
  static constexpr uint32_t kLanes = kKeyGroup * V::kPanels;
};

struct NoScale {};

template <PanelVectors V>
struct F32Cache : CacheVectors<V> {
  static constexpr KvType kType = KvType::kF32;
  using Narrow = F32Cache<typename V::OnePanel>;
  using KeyScale = NoScale;
  using ValuePlace = uint64_t;

  static KeyScale key_scale(const std::byte*, uint64_t) { return {}; }
  static typename V::Float keys(const std::byte* block, uint64_t group, uint32_t d, KeyScale) {
    return V::as_float(V::load_vector(block + uint64_t{d} * kKeyGroup * sizeof(float), group));
  }
  static ValuePlace value_place(uint32_t d) { return uint64_t{d} * sizeof(float); }
  static typename V::Float values(const std::byte* row, ValuePlace place) {
    return V::row_floats(reinterpret_cast<const float*>(row + place));
  }
};

template <PanelVectors V>
struct F16Cache : CacheVectors<V> {
  static constexpr KvType kType = KvType::kF16;
  using Narrow = F16Cache<typename V::OnePanel>;
  using KeyScale = NoScale;
  using ValuePlace = uint64_t;

  static KeyScale key_scale(const std::byte*, uint64_t) { return {}; }
  static typename V::Float keys(const std::byte* block, uint64_t group, uint32_t d, KeyScale) {
    return V::load_halves(block + uint64_t{d} * kKeyGroup * 2, group);
  }
  static ValuePlace value_place(uint32_t d) { return uint64_t{d} * 2; }
  static typename V::Float values(const std::byte* row, ValuePlace place) {
    return V::row_halves(row + place);
  }
};

template <PanelVectors V>
struct Q8Cache : CacheVectors<V> {
  static constexpr KvType kType = KvType::kQ8_0;
  using Narrow = Q8Cache<typename V::OnePanel>;
  using KeyScale = typename V::Float;
  struct ValuePlace {
    uint64_t scale;
    uint64_t quants;
  };

  static KeyScale key_scale(const std::byte* block, uint64_t group) {
    return V::load_halves(block, group);
  }
  static typename V::Float keys(const std::byte* block, uint64_t group, uint32_t d,
                                KeyScale scale) {
    const std::byte* from = block + 2 * kKeyGroup + uint64_t{d} * kKeyGroup;
    return scale * V::to_float(V::load_signed(from, group));
  }
  static ValuePlace value_place(uint32_t d) {
    uint64_t block = kv_bytes(kType, d - d % kKvBlock);
    return {block, block + 2 + d % kKvBlock};
  }
  static typename V::Float values(const std::byte* row, const ValuePlace& place) {
    return V::broadcast_half(row + place.scale) * V::to_float(V::row_signed(row + place.quants));
  }
};

// Of kQueries queries: scores of kVectors vectors of positions from `first` on, to
// scores[query * kAttentionChunk + position].
template <class Cache, uint32_t kQueries, uint32_t kVectors>
static inline void score_tile(const AttentionChunk& chunk, const AttentionQuery* queries,
                              uint32_t first, float* scores) {
  using Vector = typename Cache::Vector;
  uint64_t group = kKeyGroup * kv_bytes(Cache::kType, chunk.head_dim);
  uint64_t stride = Cache::kLanes / kKeyGroup * group;
  const std::byte* block = chunk.keys + first / kKeyGroup * group;
  const float* query[kQueries];
  for (uint32_t q = 0; q < kQueries; ++q) query[q] = queries[q].query;
  Vector acc[kQueries][kVectors] = {};
  for (uint32_t begin = 0; begin < chunk.head_dim; begin += kKvBlock) {
    uint32_t dimensions = std::min(kKvBlock, chunk.head_dim - begin);
    typename Cache::KeyScale scales[kVectors];
    for (uint32_t v = 0; v < kVectors; ++v) scales[v] = Cache::key_scale(block + v * stride, group);
    for (uint32_t d = 0; d < dimensions; ++d) {
      Vector keys[kVectors];
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kVectors; ++v) {
        keys[v] = Cache::keys(block + v * stride, group, d, scales[v]);
      }
#pragma GCC unroll 8
      for (uint32_t q = 0; q < kQueries; ++q) {
        Vector factor = Cache::Vectors::broadcast(query[q] + begin + d);
#pragma GCC unroll 8
        for (uint32_t v = 0; v < kVectors; ++v) acc[q][v] = acc[q][v] + factor * keys[v];
      }
    }
    block += kKeyGroup * kv_bytes(Cache::kType, dimensions);
  }
  Vector scale = Cache::Vectors::broadcast(&chunk.scale);
#pragma GCC unroll 8
  for (uint32_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      float* to = scores + q * kAttentionChunk + first + v * Cache::kLanes;
      Cache::Vectors::store_row(to, acc[q][v] * scale);
    }
  }
}

// Adds to kQueries rows of results what the positions [begin, end) have in kVectors vectors of
// dimensions from `first` on.
template <class Cache, uint32_t kQueries, uint32_t kVectors>
static inline void value_tile(const AttentionChunk& chunk, const AttentionQuery* queries,
                              uint32_t begin, uint32_t end, uint32_t first, const float* weights) {
  using Vector = typename Cache::Vector;
  uint64_t stride = kv_bytes(Cache::kType, chunk.value_dim);
  const std::byte* row = chunk.values + begin * stride;
  typename Cache::ValuePlace places[kVectors];
  for (uint32_t v = 0; v < kVectors; ++v) {
    places[v] = Cache::value_place(first + v * Cache::kLanes);
  }
  Vector acc[kQueries][kVectors];
#pragma GCC unroll 8
  for (uint32_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      acc[q][v] = Cache::Vectors::row_floats(queries[q].out + first + v * Cache::kLanes);
    }
  }
  for (uint32_t p = begin; p < end; ++p, row += stride) {
    Vector values[kVectors];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      values[v] = Cache::values(row, places[v]);
    }
#pragma GCC unroll 8
    for (uint32_t q = 0; q < kQueries; ++q) {
      Vector weight = Cache::Vectors::broadcast(weights + q * kAttentionChunk + p);
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kVectors; ++v) acc[q][v] = acc[q][v] + weight * values[v];
    }
  }
#pragma GCC unroll 8
  for (uint32_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      Cache::Vectors::store_row(queries[q].out + first + v * Cache::kLanes, acc[q][v]);
    }
  }
}

// The largest tile has as many queries as leave a register for each of two sums, and as many again
// for what they are made of. One of few queries takes more vectors: there must be enough sums under
// way to hide the adder's latency.
template <class Cache>
inline constexpr uint32_t kMostQueries = Cache::Vectors::kRegisters / 4;
template <class Cache, uint32_t kQueries>
inline constexpr uint32_t kTileVectors = std::min(kQueries >= 4 ? 2u : 4u,
                                                  Cache::Vectors::kRegisters / 2 / kQueries);

template <class Cache, uint32_t kQueries>
static inline void score_positions(const AttentionChunk& chunk, const AttentionQuery* queries,
                                   uint32_t begin, uint32_t end, float* scores) {
  constexpr uint32_t kTile = kTileVectors<Cache, kQueries> * Cache::kLanes;
  uint32_t p = begin - begin % Cache::kLanes;
  for (; p + kTile <= end; p += kTile) {
    score_tile<Cache, kQueries, kTileVectors<Cache, kQueries>>(chunk, queries, p, scores);
  }
  for (; p < end; p += Cache::kLanes) score_tile<Cache, kQueries, 1>(chunk, queries, p, scores);
}

template <class Cache, uint32_t kQueries>
static inline void add_values(const AttentionChunk& chunk, const AttentionQuery* queries,
                              uint32_t begin, uint32_t end, const float* weights) {
  constexpr uint32_t kVectors = kTileVectors<Cache, kQueries>;
  constexpr uint32_t kTile = kVectors * Cache::kLanes;
  if (begin >= end) return;
  uint32_t d = 0;
  for (; d + kTile <= chunk.value_dim; d += kTile) {
    value_tile<Cache, kQueries, kVectors>(chunk, queries, begin, end, d, weights);
  }
  for (; d + Cache::kLanes <= chunk.value_dim; d += Cache::kLanes) {
    value_tile<Cache, kQueries, 1>(chunk, queries, begin, end, d, weights);
  }
  if constexpr (Cache::Vectors::kPanels > 1) {
    if (d == chunk.value_dim) return;
    value_tile<typename Cache::Narrow, kQueries, 1>(chunk, queries, begin, end, d, weights);
  }
}

// kQueries queries. Positions that all of them see are summed together, what only some see before
// and after it one query at a time, so that each adds what it sees, in order, and nothing else.
template <class Cache, uint32_t kQueries>
static void attend(const AttentionChunk& chunk, const AttentionQuery* queries, float* scores) {
  uint32_t begin = kAttentionChunk;
  uint32_t end = 0;
  uint32_t common_begin = 0;
  uint32_t common_end = kAttentionChunk;
  for (uint32_t q = 0; q < kQueries; ++q) {
    begin = std::min(begin, queries[q].begin);
    end = std::max(end, queries[q].end);
    common_begin = std::max(common_begin, queries[q].begin);
    common_end = std::min(common_end, queries[q].end);
  }
  score_positions<Cache, kQueries>(chunk, queries, begin, end, scores);
  common_begin = std::min(common_begin, common_end);
  for (uint32_t q = 0; q < kQueries; ++q) {
    const AttentionQuery& query = queries[q];
    float* own = scores + q * kAttentionChunk;
    uint32_t count = query.end - query.begin;
    using One = typename Cache::Vectors::OnePanel;
    float max = row_functions::largest<One>(own + query.begin, count);
    *query.partial = {max, row_functions::exp_sum<One>(own + query.begin, count, max)};
    std::fill_n(query.out, chunk.value_dim, 0.0F);
    add_values<Cache, 1>(chunk, &query, query.begin, common_begin, own);
  }
  add_values<Cache, kQueries>(chunk, queries, common_begin, common_end, scores);
  for (uint32_t q = 0; q < kQueries; ++q) {
    uint32_t from = std::max(queries[q].begin, common_end);
    add_values<Cache, 1>(chunk, queries + q, from, queries[q].end, scores + q * kAttentionChunk);
  }
}

// Groups of kQueries, then smaller ones.
template <class Cache, uint32_t kQueries>
static inline void attend_all(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                              float* scores) {
  const AttentionQuery* query = queries.data();
  size_t left = queries.size();
  for (; left >= kQueries; left -= kQueries, query += kQueries) {
    attend<Cache, kQueries>(chunk, query, scores);
  }
  if constexpr (kQueries > 1) attend_all<Cache, kQueries / 2>(chunk, {query, left}, scores);
}

template <class Cache>
static inline void attend_in(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                             float* scores) {
  static_assert(kMostQueries<Cache> * kAttentionChunk <= kAttentionScratch);
  attend_all<Cache, kMostQueries<Cache>>(chunk, queries, scores);
}

// KernelTable::attention_chunk.
template <PanelVectors V>
static void attention_chunk(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                            float* scratch) {
  switch (chunk.type) {
    case KvType::kF32:
      return attend_in<F32Cache<V>>(chunk, queries, scratch);
    case KvType::kF16:
      return attend_in<F16Cache<V>>(chunk, queries, scratch);
    case KvType::kQ8_0:
      return attend_in<Q8Cache<V>>(chunk, queries, scratch);
  }
}

}  // namespace potluck::attention_tiles
