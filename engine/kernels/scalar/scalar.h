// The scalar kernels: the definition of the arithmetic contract (docs/ARITHMETIC.md), in plain C++.
// Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/state_kernels.h"

namespace potluck::scalar {

// Of geglu: 2 sqrt(2 / pi), and 0.044715 times as much.
inline constexpr float kGeluLinear = 0x1.988454p+0F;
inline constexpr float kGeluCubic = 0x1.2444f2p-4F;

void matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows, uint32_t tokens,
            uint32_t panel_begin, uint32_t panel_end, float* y, uint64_t y_stride);
void quantize(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
              int16_t* sums);
void rms_norm(const float* x, const float* weight, uint32_t count, float eps, float* y);
void swiglu(const float* gate, const float* up, uint32_t count, float* y);
void swiglu_oai(const float* gate, const float* up, uint32_t count, float* y);
void swiglu_clamp_before(const float* gate, const float* up, float limit, uint32_t count, float* y);
void swiglu_clamp_after(const float* gate, const float* up, float limit, uint32_t count, float* y);
void geglu(const float* gate, const float* up, uint32_t count, float* y);
void reglu(const float* gate, const float* up, uint32_t count, float* y);
void relu_squared(const float* x, uint32_t count, float* y);
void silu(float* x, uint32_t count);
void sigmoid_gate(const float* gate, uint32_t count, float* x);
void add_scaled(float factor, const float* x, uint32_t count, float* y);
void recur(const RecurrentTokens& tokens, const float* before, float* after);
// Of the columns [first, end) of the state.
void recur_columns(const RecurrentTokens& tokens, const float* before, float* after, uint32_t first,
                   uint32_t end);
void mix_streams(const StreamMix& mix, const float* y, float* streams);
// Of the values [first, end) of each stream.
void mix_stream_values(const StreamMix& mix, const float* y, float* streams, uint32_t first,
                       uint32_t end);
void add_to_softmaxes(const float* gates, const float* offsets, const float* values, uint32_t count,
                      const RunningSoftmaxes& softmaxes);
float exp_sum(float* x, uint32_t count, float max);
bool accumulate(const float* y, uint32_t count, float weight, int32_t fraction_bits, int64_t* sums);
void attention_chunk(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                     float* scratch);

inline constexpr KernelTable kTable = {
    .name = "scalar",
    .matmul = matmul,
    .quantize = quantize,
    .rms_norm = rms_norm,
    .swiglu = swiglu,
    .swiglu_oai = swiglu_oai,
    .swiglu_clamp_before = swiglu_clamp_before,
    .swiglu_clamp_after = swiglu_clamp_after,
    .geglu = geglu,
    .reglu = reglu,
    .relu_squared = relu_squared,
    .exp_sum = exp_sum,
    .accumulate = accumulate,
    .attention_chunk = attention_chunk,
};

inline constexpr StateKernels kStates = {
    .silu = silu,
    .sigmoid_gate = sigmoid_gate,
    .add_scaled = add_scaled,
    .recur = recur,
    .mix_streams = mix_streams,
    .add_to_softmaxes = add_to_softmaxes,
};

}  // namespace potluck::scalar
