#include "engine/kernels/block_decode.h"

#include "engine/kernels/block_fields.h"
#include "engine/kernels/block_format.h"

namespace potluck {
namespace {

using namespace block_fields;

float half_at(const std::byte* from) {
  return half_to_float(load<uint16_t>(from));
}

}  // namespace

void decode_f32(const std::byte* blocks, uint64_t count, float* out) {
  std::memcpy(out, blocks, count * sizeof(float));
}

void decode_f16(const std::byte* blocks, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) out[i] = half_at(blocks + 2 * i);
}

void decode_bf16(const std::byte* blocks, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) out[i] = bfloat16_to_float(load<uint16_t>(blocks + 2 * i));
}

void decode_q4_0(const std::byte* blocks, uint64_t count, float* out) {
  for (uint64_t block = 0; block < count / kBlock; ++block) {
    float d = half_at(blocks);
    uint8_t q[kBlock];
    q4_0_quants(blocks, q);
    for (uint8_t quant : q) *out++ = static_cast<float>(quant - 8) * d;
    blocks += kQ4_0Bytes;
  }
}

void decode_q8_0(const std::byte* blocks, uint64_t count, float* out) {
  for (uint64_t block = 0; block < count / kBlock; ++block) {
    float d = half_at(blocks);
    for (uint32_t i = 0; i < kBlock; ++i) {
      *out++ = static_cast<float>(load<int8_t>(blocks + kQ8_0Quants + i)) * d;
    }
    blocks += kQ8_0Bytes;
  }
}

void decode_q4_k(const std::byte* blocks, uint64_t count, float* out) {
  for (uint64_t block = 0; block < count / kSuperBlock; ++block) {
    float d = half_at(blocks);
    float dmin = half_at(blocks + 2);
    for (uint32_t part = 0; part < kSuperBlock / kBlock; ++part) {
      ScaleAndMinimum small = q4_k_scale(blocks, part);
      float scale = d * static_cast<float>(small.scale);
      float minimum = dmin * static_cast<float>(small.minimum);
      uint8_t q[kBlock];
      q4_k_quants(blocks, part, q);
      for (uint8_t quant : q) *out++ = scale * static_cast<float>(quant) - minimum;
    }
    blocks += kQ4_KBytes;
  }
}

void decode_q6_k(const std::byte* blocks, uint64_t count, float* out) {
  for (uint64_t block = 0; block < count / kSuperBlock; ++block) {
    float d = half_at(blocks + kQ6_KDelta);
    for (uint32_t part = 0; part < kSuperBlock / kBlock; ++part) {
      uint8_t q[kBlock];
      q6_k_quants(blocks, part, q);
      for (uint32_t i = 0; i < kBlock; ++i) {
        float scale = d * static_cast<float>(q6_k_scale(blocks, 2 * part + i / 16));
        *out++ = scale * static_cast<float>(q[i] - 32);
      }
    }
    blocks += kQ6_KBytes;
  }
}

}  // namespace potluck
