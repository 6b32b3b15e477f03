// The AVX-512 kernels (with VNNI): the same bits as the scalar ones. What
// gains nothing from wider vectors is the AVX2 kernel. Entered only after the processor was asked.
// Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/avx2.h"

namespace potluck::avx512 {

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride);
void attention_chunk(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                     float* scratch);

inline constexpr KernelTable kTable = {
    .name = "avx512",
    .matmul = matmul,
    .quantize = avx2::quantize,
    .rms_norm = avx2::rms_norm,
    .swiglu = avx2::swiglu,
    .swiglu_oai = avx2::swiglu_oai,
    .exp_sum = avx2::exp_sum,
    .accumulate = avx2::accumulate,
    .attention_chunk = attention_chunk,
};

}  // namespace potluck::avx512
