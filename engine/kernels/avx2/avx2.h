// The AVX2 kernels: the same bits as the scalar ones. Entered only after the processor was asked
// for AVX2 and F16C. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/kernels.h"

namespace potluck::avx2 {

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride);
void quantize(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
              int16_t* sums);
void rms_norm(const float* x, const float* weight, uint32_t count, float eps, float* y);
void swiglu(const float* gate, const float* up, uint32_t count, float* y);
void swiglu_oai(const float* gate, const float* up, uint32_t count, float* y);
float exp_sum(float* x, uint32_t count, float max);
bool accumulate(const float* y, uint32_t count, float weight, int32_t fraction_bits, int64_t* sums);
void attention_chunk(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                     float* scratch);

inline constexpr KernelTable kTable = {
    .name = "avx2",
    .matmul = matmul,
    .quantize = quantize,
    .rms_norm = rms_norm,
    .swiglu = swiglu,
    .swiglu_oai = swiglu_oai,
    .exp_sum = exp_sum,
    .accumulate = accumulate,
    .attention_chunk = attention_chunk,
};

}  // namespace potluck::avx2
