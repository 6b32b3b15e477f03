#include "engine/kernels/kv_format.h"

#include <algorithm>
#include <cmath>

#include "engine/base/bytes.h"
#include "engine/kernels/block_format.h"
#include "engine/kernels/row_transpose.h"

namespace potluck {
namespace {

constexpr uint16_t kHalfNan = 0x7e00;
constexpr uint64_t kScaleBytes = 2;

// Where the numbers of one position lie: `stride` elements apart, in bytes from the start of its
// group of keys or its row of values. Scales of neighboring positions stand side by side as well.
struct Place {
  std::byte* start;
  uint32_t stride;  // kKeyGroup or 1
  uint32_t lane;    // which of the `stride` positions

  uint64_t element(uint32_t dimension) const { return uint64_t{dimension} * stride + lane; }
  // Of kQ8_0: the first byte of the block that holds a dimension.
  uint64_t block(uint32_t dimension) const {
    return uint64_t{dimension / kKvBlock} * (kKvBlock + kScaleBytes) * stride;
  }
  uint64_t scale(uint32_t dimension) const { return block(dimension) + kScaleBytes * lane; }
  uint64_t quant(uint32_t dimension) const {
    return block(dimension) + kScaleBytes * stride + element(dimension % kKvBlock);
  }
};

Place key_place(KvType type, uint32_t dimensions, std::byte* keys, uint32_t position) {
  uint64_t group = kKeyGroup * kv_bytes(type, dimensions);
  return {keys + position / kKeyGroup * group, kKeyGroup, position % kKeyGroup};
}

Place value_place(KvType type, uint32_t dimensions, std::byte* values, uint32_t position) {
  return {values + position * kv_bytes(type, dimensions), 1, 0};
}

uint16_t block_scale(const float* x, uint32_t count) {
  float amax = 0;
  for (uint32_t i = 0; i < count; ++i) {
    // Not clamped: the NaN reaches the scores of every later token, and the rows fail instead of
    // going wrong in silence.
    if (!std::isfinite(x[i])) return kHalfNan;
    amax = std::max(amax, std::fabs(x[i]));
  }
  uint16_t scale = float_to_half(amax / 127.0F);
  return std::isfinite(half_to_float(scale)) ? scale : kHalfNan;
}

void store_block(const float* x, uint32_t first, uint32_t count, const Place& place) {
  uint16_t half = block_scale(x + first, count);
  store(place.start + place.scale(first), half);
  float scale = half_to_float(half);
  // The inverse of the rounded scale, which is the one that the kernels multiply by.
  float inverse = scale > 0 ? 1.0F / scale : 0.0F;
  for (uint32_t d = first; d < first + count; ++d) {
    // A NaN times the inverse would have no integer.
    long quant = inverse > 0 ? std::lrint(x[d] * inverse) : 0;
    store(place.start + place.quant(d), static_cast<int8_t>(std::clamp(quant, -127L, 127L)));
  }
}

void store_numbers(KvType type, uint32_t dimensions, const float* x, const Place& place) {
  switch (type) {
    case KvType::kF32:
      for (uint32_t d = 0; d < dimensions; ++d) store(place.start + 4 * place.element(d), x[d]);
      return;
    case KvType::kF16:
      for (uint32_t d = 0; d < dimensions; ++d) {
        store(place.start + 2 * place.element(d), float_to_half(x[d]));
      }
      return;
    case KvType::kQ8_0:
      for (uint32_t d = 0; d < dimensions; d += kKvBlock) {
        store_block(x, d, std::min(kKvBlock, dimensions - d), place);
      }
  }
}

// So many dimensions of a group of keys, to rows `row` bytes apart. A vector has an element of each
// of the group's positions.
template <class Vector>
void copy_group(const std::byte* group, uint32_t dimensions, std::byte* rows, uint64_t row) {
  for (uint32_t d = 0; d < dimensions; d += kKeyGroup) {
    row_transpose::transpose<Vector>(group + d * sizeof(Vector), sizeof(Vector),
                                     rows + d * sizeof(Vector) / kKeyGroup, row);
  }
}

void copy_group_of_floats(const std::byte* group, uint32_t dimensions, std::byte* rows,
                          uint64_t row) {
  for (uint32_t lane = 0; lane < kKeyGroup; ++lane) {
    for (uint64_t d = 0; d < dimensions; ++d) {
      store(rows + lane * row + 4 * d, load<float>(group + 4 * (d * kKeyGroup + lane)));
    }
  }
}

void copy_group_of_blocks(const std::byte* group, uint32_t dimensions, std::byte* rows,
                          uint64_t row) {
  for (uint32_t first = 0; first < dimensions; first += kKvBlock) {
    for (uint32_t lane = 0; lane < kKeyGroup; ++lane) {
      store(rows + lane * row, load<uint16_t>(group + lane * kScaleBytes));
    }
    group += kKeyGroup * kScaleBytes;
    rows += kScaleBytes;
    const uint32_t count = std::min(kKvBlock, dimensions - first);
    copy_group<row_transpose::EightBytes>(group, count, rows, row);
    group += uint64_t{kKeyGroup} * count;
    rows += count;
  }
}

float number_at(KvType type, const Place& place, uint32_t dimension) {
  const std::byte* start = place.start;
  if (type == KvType::kF32) return load<float>(start + 4 * place.element(dimension));
  if (type == KvType::kF16) {
    return half_to_float(load<uint16_t>(start + 2 * place.element(dimension)));
  }
  float scale = half_to_float(load<uint16_t>(start + place.scale(dimension)));
  return scale * static_cast<float>(load<int8_t>(start + place.quant(dimension)));
}

}  // namespace

void store_key(KvType type, uint32_t dimensions, const float* key, uint32_t position,
               std::byte* keys) {
  store_numbers(type, dimensions, key, key_place(type, dimensions, keys, position));
}

void store_value(KvType type, uint32_t dimensions, const float* value, uint32_t position,
                 std::byte* values) {
  store_numbers(type, dimensions, value, value_place(type, dimensions, values, position));
}

void copy_values(KvType type, uint32_t key_dimensions, uint32_t value_dimensions,
                 const std::byte* keys, uint32_t begin, uint32_t end, std::byte* values) {
  const uint64_t group_bytes = kKeyGroup * kv_bytes(type, key_dimensions);
  const uint64_t row = kv_bytes(type, value_dimensions);
  for (uint32_t p = begin - begin % kKeyGroup; p < end; p += kKeyGroup) {
    const std::byte* group = keys + p / kKeyGroup * group_bytes;
    std::byte* rows = values + p * row;
    switch (type) {
      case KvType::kF32:
        copy_group_of_floats(group, value_dimensions, rows, row);
        break;
      case KvType::kF16:
        copy_group<row_transpose::Halves>(group, value_dimensions, rows, row);
        break;
      case KvType::kQ8_0:
        copy_group_of_blocks(group, value_dimensions, rows, row);
        break;
    }
  }
}

void load_key(KvType type, uint32_t dimensions, const std::byte* keys, uint32_t position,
              float* key, uint32_t stride) {
  auto* start = const_cast<std::byte*>(keys);  // only read through the place
  const Place place = key_place(type, dimensions, start, position);
  if (type == KvType::kF16) {
    const std::byte* from = place.start + 2 * place.lane;
    for (uint32_t d = 0; d < dimensions; ++d, from += 2 * kKeyGroup, key += stride) {
      *key = half_to_float(load<uint16_t>(from));
    }
    return;
  }
  for (uint32_t d = 0; d < dimensions; ++d, key += stride) *key = number_at(type, place, d);
}

void load_value(KvType type, uint32_t dimensions, const std::byte* values, uint32_t position,
                float* value) {
  const std::byte* row = values + position * kv_bytes(type, dimensions);
  switch (type) {
    case KvType::kF32:
      for (uint32_t d = 0; d < dimensions; ++d) value[d] = load<float>(row + 4 * d);
      return;
    case KvType::kF16:
      for (uint32_t d = 0; d < dimensions; ++d)
        value[d] = half_to_float(load<uint16_t>(row + 2 * d));
      return;
    case KvType::kQ8_0:
      break;
  }
  for (uint32_t first = 0; first < dimensions; first += kKvBlock) {
    const float scale = half_to_float(load<uint16_t>(row));
    const std::byte* quants = row + kScaleBytes;
    const uint32_t count = std::min(kKvBlock, dimensions - first);
    for (uint32_t d = 0; d < count; ++d) {
      value[first + d] = scale * static_cast<float>(load<int8_t>(quants + d));
    }
    row = quants + count;
  }
}

float key_at(KvType type, uint32_t dimensions, const std::byte* keys, uint32_t position,
             uint32_t dimension) {
  // Only read through the place.
  auto* start = const_cast<std::byte*>(keys);
  return number_at(type, key_place(type, dimensions, start, position), dimension);
}

float value_at(KvType type, uint32_t dimensions, const std::byte* values, uint32_t position,
               uint32_t dimension) {
  auto* start = const_cast<std::byte*>(values);
  return number_at(type, value_place(type, dimensions, start, position), dimension);
}

}  // namespace potluck
