// The loops of attention that the vector kernels share. A tile is a few queries and a few vectors:
// of positions for the scores, of dimensions for the sums of values. Keys and values are loaded and
// converted once per tile and meet all of its queries; every lane adds in sequence. What differs by
// processor and type of cache comes as a template argument:
//
//   Cache::Vector                         kLanes floats
//   Cache::kQueries, kVectors             the largest tile: so many queries and vectors of each
//   Cache::KeyScale key_scale(block)      from the first byte of a block of keys
//   Cache::keys(block, d, scale)          kLanes positions of dimension d of a block
//   Cache::values<whole>(row, d)          dimensions of one position, from d on; if not `whole`,
//                                         8 of them and zeros
//   Cache::broadcast, load<whole>, store<whole>, largest, exp_sum
//
// Those types live in unnamed namespaces, so that no instantiation is shared between files that are
// compiled for different processors. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"

namespace potluck::attention_tiles {

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
        Vector factor = Cache::broadcast(query[q] + begin + d);
#pragma GCC unroll 8
        for (uint32_t v = 0; v < kVectors; ++v) acc[q][v] = acc[q][v] + factor * keys[v];
      }
    }
    block += kKeyGroup * kv_bytes(Cache::kType, dimensions);
  }
  Vector scale = Cache::broadcast(&chunk.scale);
#pragma GCC unroll 8
  for (uint32_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      float* to = scores + q * kAttentionChunk + first + v * Cache::kLanes;
      Cache::template store<true>(to, acc[q][v] * scale);
    }
  }
}

// Adds to kQueries rows of results what the positions [begin, end) have in kVectors vectors of
// dimensions from `first` on.
template <class Cache, bool kWhole, uint32_t kQueries, uint32_t kVectors>
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
      acc[q][v] = Cache::template load<kWhole>(queries[q].out + first + v * Cache::kLanes);
    }
  }
  for (uint32_t p = begin; p < end; ++p, row += stride) {
    Vector values[kVectors];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      values[v] = Cache::template values<kWhole>(row, places[v]);
    }
#pragma GCC unroll 8
    for (uint32_t q = 0; q < kQueries; ++q) {
      Vector weight = Cache::broadcast(weights + q * kAttentionChunk + p);
#pragma GCC unroll 8
      for (uint32_t v = 0; v < kVectors; ++v) acc[q][v] = acc[q][v] + weight * values[v];
    }
  }
#pragma GCC unroll 8
  for (uint32_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      Cache::template store<kWhole>(queries[q].out + first + v * Cache::kLanes, acc[q][v]);
    }
  }
}

// A tile of few queries takes more vectors: there must be enough sums under way to hide the adder's
// latency.
template <class Cache, uint32_t kQueries>
inline constexpr uint32_t kTileVectors = kQueries >= 4 ? Cache::kVectors : 2 * Cache::kVectors;

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
    value_tile<Cache, true, kQueries, kVectors>(chunk, queries, begin, end, d, weights);
  }
  for (; d + Cache::kLanes <= chunk.value_dim; d += Cache::kLanes) {
    value_tile<Cache, true, kQueries, 1>(chunk, queries, begin, end, d, weights);
  }
  if (d < chunk.value_dim) {
    value_tile<Cache, false, kQueries, 1>(chunk, queries, begin, end, d, weights);
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
    float max = Cache::largest(own + query.begin, count);
    *query.partial = {max, Cache::exp_sum(own + query.begin, count, max)};
    std::fill_n(query.out, chunk.value_dim, 0.0F);
    add_values<Cache, 1>(chunk, &query, query.begin, common_begin, own);
  }
  add_values<Cache, kQueries>(chunk, queries, common_begin, common_end, scores);
  for (uint32_t q = 0; q < kQueries; ++q) {
    uint32_t from = std::max(queries[q].begin, common_end);
    add_values<Cache, 1>(chunk, queries + q, from, queries[q].end, scores + q * kAttentionChunk);
  }
}

template <class Cache>
static inline void attend_all(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                              float* scores) {
  const AttentionQuery* query = queries.data();
  auto left = static_cast<uint32_t>(queries.size());
  if constexpr (Cache::kQueries == 8) {
    for (; left >= 8; left -= 8, query += 8) attend<Cache, 8>(chunk, query, scores);
  }
  for (; left >= 4; left -= 4, query += 4) attend<Cache, 4>(chunk, query, scores);
  for (; left >= 2; left -= 2, query += 2) attend<Cache, 2>(chunk, query, scores);
  if (left > 0) attend<Cache, 1>(chunk, query, scores);
}

}  // namespace potluck::attention_tiles
