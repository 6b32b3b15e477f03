// KernelTable: the arithmetic that must be fast, as functions. The scalar table is the definition;
// every other table returns the same bits, which tests check by comparing memory. Chosen once, at
// start, by select_kernels(). Tables are constants; any thread.
//
// The contract (docs/ARITHMETIC.md, version kArithmeticVersion): no fused multiply-add; integer
// products inside a block are exact in any order; float sums over blocks go in sequence from column
// 0, one accumulator per output, starting at +0. Written y += a * b below means: round the product,
// then round the sum.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/kernels/activations.h"
#include "engine/kernels/kv_format.h"
#include "engine/kernels/panel.h"

namespace potluck {

inline constexpr uint32_t kArithmeticVersion = 1;

// Largest magnitude of a fixed-point addend, and the range of its exponent; see accumulate. The
// range holds 24 - exponent(x) of every float32 x many times over.
inline constexpr int64_t kAddendLimit = int64_t{1} << 46;
inline constexpr int32_t kMinFractionBits = -512;
inline constexpr int32_t kMaxFractionBits = 512;

// Positions per attention chunk. Chunks start at absolute positions that are multiples of it, so
// the order of additions does not depend on how a prompt was cut or who computes which chunk.
inline constexpr uint32_t kAttentionChunk = 256;

// One KV head's keys and values of a chunk, laid out as kv_format.h says. All kAttentionChunk
// positions are readable; those that no query sees may hold anything.
struct AttentionChunk {
  KvType type = KvType::kF32;
  uint32_t head_dim = 0;              // of keys; a multiple of 8
  uint32_t value_dim = 0;             // of values; a multiple of 8
  const std::byte* keys = nullptr;    // of the chunk's first position
  const std::byte* values = nullptr;  // likewise
  float scale = 1.0F;                 // scores are (q . k) * scale
};

// What one chunk contributes to softmax(q K) V, relative to its own largest score.
struct AttentionPartial {
  float max_score;
  float sum;  // of exp(score - max_score)
};

// One query head of one token: what it sees of a chunk, and where the chunk's contribution goes.
struct AttentionQuery {
  const float* query = nullptr;  // [head_dim]
  uint32_t begin = 0;            // visible positions, relative to the chunk: [begin, end)
  uint32_t end = 0;              // at most kAttentionChunk, more than begin
  float* out = nullptr;          // [value_dim]
  AttentionPartial* partial = nullptr;
};

// Floats of scratch memory that attention_chunk needs.
inline constexpr uint32_t kAttentionScratch = 8 * kAttentionChunk;

struct KernelTable {
  std::string_view name;

  // y[t * y_stride + r] = sum over columns of w[r][c] * x[rows ? rows[t] : t][c], for the t in
  // [0, tokens) and the matrix rows r of the panels [panel_begin, panel_end); rows beyond
  // shape.rows are not written. x.columns == w.shape.columns. x.form is one that the format reads,
  // as listed; kQ8Block256 needs phase 0.
  //
  //  float weights, kF32:   acc += w * x, column by column
  //
  //  kQ8Block32, i = sum of w * x and s = sum of x over the block of 32:
  //   Q8_0, Q4_0, Q5_0      acc += (dw * dx) * i       w = quant, nibble - 8, 5 bits - 16
  //   IQ4_NL, MXFP4         acc += (dw * dx) * i       w = codebook[nibble]; MXFP4: dw = 2^(e-128)
  //   Q4_1, Q5_1            acc += (dw * dx) * i + (m * dx) * s           (one float sum)
  //   Q1_0, Q2_0            acc += (dw * dx) * i       w = +-1, 2 bits - 1
  //   NVFP4                 acc += (dw * dx) * i       w = codebook[nibble], dw = 2^-10,
  //                         i = sum of sc * w * x,  sc = the scale of 16 columns in units of 2^-9
  //
  //  kQ8Block256, over the super-block:
  //   Q2_K, Q4_K, Q5_K      acc += (dw * dx) * i - (dmin * dx) * m        (one float difference)
  //                         i = sum of sc * w * x,  m = sum of min * x,  w = quant
  //   all others            acc += (dw * dx) * i,  i = sum of sc * w * x
  //     Q3_K, Q6_K            w = quant - 4, quant - 32; sc as stored, Q3_K: 6 bits - 32
  //     IQ4_XS                w = codebook[nibble], sc = 6 bits - 32
  //     IQ2_*                 w = +- grid, sc = 2 * 4 bits + 1, dw = d / 8
  //     IQ3_XXS, IQ3_S        w = +- grid, sc = 2 * 4 bits + 1, dw = d / 4, d
  //     IQ1_S, IQ1_M          w = 8 * grid +- 1, sc = 2 * 3 bits + 1, dw = d / 8
  //     TQ1_0, TQ2_0          w = digit - 1, sc = 1
  //
  //  super-blocks, kQ8Block32: the same per block of 32 columns instead of per super-block
  //
  // dw, dx, dmin and m are the float32 values of the scales. |w * x| <= 128 * 127, |sc| <= 128 and
  // 256 columns bound i by 2^30; no order of additions can overflow an int32. Of NVFP4 |sc| < 2^18,
  // and i is below 2^34: the sum of two products of a float32 with 4 and one with 15 leading bits.
  // i, m and s are converted to float32 by rounding to nearest even.
  void (*matmul)(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows,
                 uint32_t tokens, uint32_t panel_begin, uint32_t panel_end, float* y,
                 uint64_t y_stride);

  // Quantizes `count` values (the tail of the last block counts as zeros) in blocks of 32 or 256:
  //   amax = max |x|; not finite anywhere in the block: scale = NaN (0x7fc00000), quants 0
  //   amax < 2^-100: scale = 0, quants 0; else scale = amax / 127, inverse = 127 / amax,
  //   q = x * inverse, rounded to nearest even (|q| <= 127 follows; clamped all the same).
  // sums[i] = quants[16 i] + ... + quants[16 i + 15]. Whole blocks are written.
  void (*quantize)(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
                   int16_t* sums);

  // y = (x * (1 / sqrt(mean(x^2) + eps))) * weight. Squares are added in 8 lanes (lane = index mod
  // 8, in sequence), lanes by sum_lanes(); mean = sum / float(count). weight may be null (no second
  // product); x may be y.
  void (*rms_norm)(const float* x, const float* weight, uint32_t count, float eps, float* y);

  // y = silu(gate) * up. y may be either.
  void (*swiglu)(const float* gate, const float* up, uint32_t count, float* y);

  // The activation of gpt-oss: g = min(gate, 7), u = clamp(up, -7, 7), NaNs stay;
  // y = (g / (1 + exp(-(1.702 * g)))) * (u + 1). y may be either.
  void (*swiglu_oai)(const float* gate, const float* up, uint32_t count, float* y);

  // Two forms of SwiGLU with a limit, above 0; both clamp up to [-limit, limit]. Before: the gate
  // is at most the limit, then y = silu(gate) * up (DeepSeek V4). After: y = s * up, where s is
  // silu(gate), at most the limit (Step 3.5). NaNs stay. y may be either.
  void (*swiglu_clamp_before)(const float* gate, const float* up, float limit, uint32_t count,
                              float* y);
  void (*swiglu_clamp_after)(const float* gate, const float* up, float limit, uint32_t count,
                             float* y);

  // y = gelu(gate) * up with the tanh form of GELU (Hendrycks and Gimpel, 2016), which is
  // g / (1 + exp(-(g * (a + b * (g * g))))); a = 2 sqrt(2 / pi), b = 0.044715 a. y may be either.
  void (*geglu)(const float* gate, const float* up, uint32_t count, float* y);

  // y = max(gate, 0) * up; NaNs stay. y may be either.
  void (*reglu)(const float* gate, const float* up, uint32_t count, float* y);

  // y = max(x, 0)^2; NaNs stay. y may be x.
  void (*relu_squared)(const float* x, uint32_t count, float* y);

  // x[i] = exp(x[i] - max), returns the sum in 8 lanes (lane = i mod 8), lanes by sum_lanes().
  float (*exp_sum)(float* x, uint32_t count, float max);

  // sums[i] += llrint(double(y[i] * weight) * 2^fraction_bits), y * weight rounded to float32
  // first. An addend that is not finite or whose magnitude exceeds kAddendLimit adds nothing; the
  // return value says whether there was one. fraction_bits is in [kMinFractionBits,
  // kMaxFractionBits]; others count as the nearer end. Sums wrap around: the caller's limit on the
  // number of addends keeps them far from it.
  bool (*accumulate)(const float* y, uint32_t count, float weight, int32_t fraction_bits,
                     int64_t* sums);

  // Any number of queries over one chunk of one KV head: the heads of its group, and those of
  // several tokens. Each gives what it gives alone:
  //   s[p] = (sum over d, in sequence, of q[d] * k[p][d]) * scale
  //   max  = the largest, NaNs skipped (-inf if there is nothing else; zero is +0)
  //   e, sum = exp_sum over the visible s, lane = (p - begin) mod 8
  //   out[d] = sum over visible positions, in sequence, of e[p] * v[p][d]
  // What queries have in common is fastest if those that see the same positions stand together.
  void (*attention_chunk)(const AttentionChunk& chunk, std::span<const AttentionQuery> queries,
                          float* scratch);
};

// The table by name ("scalar"; "sse41", "avx2", "avx512"; "neon", "dotprod"), or the best one for
// an empty name. An error names what this processor cannot do or what is unknown.
Result<const KernelTable*> select_kernels(std::string_view name);

// Tables this processor can run, the scalar one first.
std::vector<const KernelTable*> available_kernels();

}  // namespace potluck
