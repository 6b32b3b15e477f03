// The decoders of the block formats, for the table in block_format.cpp. Each turns `count` values
// (a multiple of the format's block) into float32, exactly as the format defines them. Internal to
// engine/kernels; pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace potluck {

void decode_f32(const std::byte* blocks, uint64_t count, float* out);
void decode_f16(const std::byte* blocks, uint64_t count, float* out);
void decode_bf16(const std::byte* blocks, uint64_t count, float* out);
void decode_q4_0(const std::byte* blocks, uint64_t count, float* out);
void decode_q8_0(const std::byte* blocks, uint64_t count, float* out);
void decode_q4_k(const std::byte* blocks, uint64_t count, float* out);
void decode_q6_k(const std::byte* blocks, uint64_t count, float* out);

}  // namespace potluck
