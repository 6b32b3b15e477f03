#include "engine/kernels/panel_layout.h"

#include <array>

#include "engine/base/check.h"
#include "engine/kernels/block_fields.h"

namespace potluck {
namespace {

using namespace block_fields;

constexpr uint32_t kHalves = 2 * kPanelRows;  // bytes of 8 f16 values, one per row
constexpr uint32_t kVector = 4 * kPanelRows;  // bytes of 8 rows x 4 columns
constexpr uint32_t kNibbles = 4 * kVector;    // bytes of 32 columns of 4-bit quants
constexpr uint32_t kPairs = 2 * kVector;      // of 2-bit quants
constexpr uint32_t kBytes = 8 * kVector;      // of 8-bit quants

// --- Quants of one row in vectors of 8 rows x 4 columns --------------------------------------

// Four columns at a time: the low four bits of each.
void put_nibbles(const uint8_t q[kBlock], uint32_t lane, std::byte* quants) {
  for (uint32_t v = 0; v < 4; ++v) {
    uint32_t low = load<uint32_t>(q + 4 * v) & 0x0f0f0f0fu;
    uint32_t high = load<uint32_t>(q + 16 + 4 * v) & 0x0f0f0f0fu;
    store(quants + kVector * v + 4 * lane, low | high << 4);
  }
}

void get_nibbles(const std::byte* quants, uint32_t lane, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock / 2; ++i) {
    uint8_t pair = byte_at(quants, kVector * (i / 4) + 4 * lane + i % 4);
    q[i] = pair & 15;
    q[i + 16] = pair >> 4;
  }
}

// The two bits above those: vector v holds columns 16 v + 4 j + k in bits 2 j of byte k.
void put_pairs(const uint8_t q[kBlock], uint32_t lane, std::byte* quants) {
  for (uint32_t v = 0; v < 2; ++v) {
    uint32_t four = 0;
    for (uint32_t j = 0; j < 4; ++j) {
      four |= (load<uint32_t>(q + 16 * v + 4 * j) >> 4 & 0x03030303u) << 2 * j;
    }
    store(quants + kVector * v + 4 * lane, four);
  }
}

uint8_t get_pair(const std::byte* quants, uint32_t lane, uint32_t column) {
  uint8_t four = byte_at(quants, kVector * (column / 16) + 4 * lane + column % 4);
  return (four >> 2 * (column % 16 / 4)) & 3;
}

void put_half(const std::byte* from, uint32_t lane, std::byte* halves) {
  std::memcpy(halves + 2 * lane, from, 2);
}

float get_half(const std::byte* halves, uint32_t lane) {
  return half_to_float(load<uint16_t>(halves + 2 * lane));
}

// --- Q8_0, Q4_0: 8 f16 scales, then quants ----------------------------------------------------

void pack_q8_0(const std::byte* source, uint32_t, uint32_t lane, std::byte* block) {
  put_half(source, lane, block);
  for (uint32_t i = 0; i < kBlock; i += 4) {
    std::memcpy(block + kHalves + kVector * (i / 4) + 4 * lane, source + kQ8_0Quants + i, 4);
  }
}

void unpack_q8_0(const std::byte*, const std::byte* block, uint32_t lane, float* out) {
  float d = get_half(block, lane);
  for (uint32_t i = 0; i < kBlock; ++i) {
    uint8_t q = byte_at(block, kHalves + kVector * (i / 4) + 4 * lane + i % 4);
    out[i] = static_cast<float>(static_cast<int8_t>(q)) * d;
  }
}

void pack_q4_0(const std::byte* source, uint32_t, uint32_t lane, std::byte* block) {
  uint8_t q[kBlock];
  q4_0_quants(source, q);
  put_half(source, lane, block);
  put_nibbles(q, lane, block + kHalves);
}

void unpack_q4_0(const std::byte*, const std::byte* block, uint32_t lane, float* out) {
  float d = get_half(block, lane);
  uint8_t q[kBlock];
  get_nibbles(block + kHalves, lane, q);
  for (uint32_t i = 0; i < kBlock; ++i) out[i] = static_cast<float>(q[i] - 8) * d;
}

// --- Q4_K: head of 8 d and 8 dmin; block of 8 scales, 8 minimums, quants ----------------------

void pack_q4_k_head(const std::byte* source, uint32_t lane, std::byte* head) {
  put_half(source, lane, head);
  put_half(source + 2, lane, head + kHalves);
}

void pack_q4_k(const std::byte* source, uint32_t part, uint32_t lane, std::byte* block) {
  ScaleAndMinimum small = q4_k_scale(source, part);
  block[lane] = std::byte(small.scale);
  block[kPanelRows + lane] = std::byte(small.minimum);
  uint8_t q[kBlock];
  q4_k_quants(source, part, q);
  put_nibbles(q, lane, block + 2 * kPanelRows);
}

void unpack_q4_k(const std::byte* head, const std::byte* block, uint32_t lane, float* out) {
  float scale = get_half(head, lane) * static_cast<float>(byte_at(block, lane));
  float minimum =
      get_half(head + kHalves, lane) * static_cast<float>(byte_at(block, kPanelRows + lane));
  uint8_t q[kBlock];
  get_nibbles(block + 2 * kPanelRows, lane, q);
  for (uint32_t i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(q[i]) - minimum;
}

// --- Q6_K: head of 8 d; block of 2 x 8 scales, low nibbles, high pairs ------------------------

void pack_q6_k_head(const std::byte* source, uint32_t lane, std::byte* head) {
  put_half(source + kQ6_KDelta, lane, head);
}

void pack_q6_k(const std::byte* source, uint32_t part, uint32_t lane, std::byte* block) {
  block[lane] = source[kQ6_KScales + 2 * part];
  block[kPanelRows + lane] = source[kQ6_KScales + 2 * part + 1];
  uint8_t q[kBlock];
  q6_k_quants(source, part, q);
  put_nibbles(q, lane, block + 2 * kPanelRows);
  put_pairs(q, lane, block + 2 * kPanelRows + kNibbles);
}

void unpack_q6_k(const std::byte* head, const std::byte* block, uint32_t lane, float* out) {
  float d = get_half(head, lane);
  uint8_t low[kBlock];
  get_nibbles(block + 2 * kPanelRows, lane, low);
  for (uint32_t i = 0; i < kBlock; ++i) {
    auto small = static_cast<int8_t>(byte_at(block, kPanelRows * (i / 16) + lane));
    int q = low[i] | get_pair(block + 2 * kPanelRows + kNibbles, lane, i) << 4;
    out[i] = (d * static_cast<float>(small)) * static_cast<float>(q - 32);
  }
}

constexpr std::array kLayouts = {
    PanelLayout{TensorType::kF32, 1, 0, 1, 4 * kPanelRows, nullptr, nullptr, nullptr},
    PanelLayout{TensorType::kF16, 1, 0, 1, 2 * kPanelRows, nullptr, nullptr, nullptr},
    PanelLayout{TensorType::kBF16, 1, 0, 1, 2 * kPanelRows, nullptr, nullptr, nullptr},
    PanelLayout{TensorType::kQ4_0, kBlock, 0, kBlock, kHalves + kNibbles, nullptr, pack_q4_0,
                unpack_q4_0},
    PanelLayout{TensorType::kQ8_0, kBlock, 0, kBlock, kHalves + kBytes, nullptr, pack_q8_0,
                unpack_q8_0},
    PanelLayout{TensorType::kQ4_K, kSuperBlock, 2 * kHalves, kBlock, 2 * kPanelRows + kNibbles,
                pack_q4_k_head, pack_q4_k, unpack_q4_k},
    PanelLayout{TensorType::kQ6_K, kSuperBlock, kHalves, kBlock, 2 * kPanelRows + kNibbles + kPairs,
                pack_q6_k_head, pack_q6_k, unpack_q6_k},
};

}  // namespace

const PanelLayout& panel_layout(TensorType type) {
  for (const PanelLayout& layout : kLayouts) {
    if (layout.type == type) return layout;
  }
  CHECK(false && "no panel layout for this type");
}

uint32_t panel_blocks(const PanelShape& shape, const PanelLayout& layout) {
  return ceil_div(shape.columns, layout.block_columns);
}

uint32_t panel_heads(const PanelShape& shape, const PanelLayout& layout) {
  if (layout.head_bytes == 0 || shape.columns == 0) return 0;
  uint64_t end = shape.phase + uint64_t{panel_blocks(shape, layout)} * layout.block_columns;
  return static_cast<uint32_t>(ceil_div(end, uint64_t{layout.group_columns}));
}

}  // namespace potluck
