// Expanding the codes of coded_blocks.h: a block of 8 rows at once, one 32-bit lane per row.
// Codebooks are read with gathers. Serves the AVX-512 tiles as well, panel by panel. Internal to
// engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/codebooks.h"
#include "engine/kernels/coded_blocks.h"

namespace potluck::avx2 {

// What a block of codes stands for: signed quants in column order, and the scales of columns 0-15
// and 16-31.
struct CodeVectors {
  __m256i quants[kBlockVectors];
  __m256i scales[2];
};

// The words and bytes of a block, a lane per row.
template <class Format>
struct CodeReader {
  const std::byte* block;

  __m256i word(uint32_t index) const { return load_bytes(block + kVectorBytes * index); }
  __m256i byte(uint32_t index) const {
    const std::byte* from = block + kVectorBytes * Format::kWords + kCodedRows * index;
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from)));
  }
};

// `count` bits of every lane from bit `shift` on.
static inline __m256i bits_of(__m256i lanes, int shift, int count) {
  return _mm256_and_si256(_mm256_srli_epi32(lanes, shift), _mm256_set1_epi32((1 << count) - 1));
}

static inline __m256i above(__m256i low, __m256i high, int shift) {
  return _mm256_or_si256(low, _mm256_slli_epi32(high, shift));
}

// 2 * code + 1.
static inline __m256i odd(__m256i code) {
  return _mm256_add_epi32(_mm256_add_epi32(code, code), _mm256_set1_epi32(1));
}

// Entries of 4 columns, or the columns from `column` on of entries of 8.
template <uint32_t kCount, uint32_t kLength>
static inline __m256i gather(const codebooks::Grid<kCount, kLength>& grid, __m256i index,
                             uint32_t column = 0) {
  const auto* words = reinterpret_cast<const int*>(grid.entry[0] + column);
  return _mm256_i32gather_epi32(words, index, kLength);
}

// Eight sign bits of seven: their number is even.
static inline __m256i eight_signs(__m256i seven) {
  __m256i parity = _mm256_xor_si256(seven, _mm256_srli_epi32(seven, 4));
  parity = _mm256_xor_si256(parity, _mm256_srli_epi32(parity, 2));
  parity = _mm256_xor_si256(parity, _mm256_srli_epi32(parity, 1));
  return above(seven, bits_of(parity, 0, 1), 7);
}

// Four columns negated where the lane's bits `shift`.. say so.
static inline __m256i negate(__m256i magnitudes, __m256i signs, int shift) {
  __m256i column = _mm256_set1_epi32(0x08040201);
  __m256i four = _mm256_mullo_epi32(bits_of(signs, shift, 4), _mm256_set1_epi32(0x01010101));
  __m256i mask = _mm256_cmpeq_epi8(_mm256_and_si256(four, column), column);
  return _mm256_sub_epi8(_mm256_xor_si256(magnitudes, mask), mask);
}

// The two vectors of an entry of 8 columns, with their signs.
template <uint32_t kCount>
static inline void put_signed(const codebooks::Grid<kCount, 8>& grid, __m256i index, __m256i signs,
                              __m256i* quants) {
  quants[0] = negate(gather(grid, index, 0), signs, 0);
  quants[1] = negate(gather(grid, index, 4), signs, 4);
}

// Eight times the entry of IQ1, plus 1 or, where `minus` is 1, minus 1.
static inline void put_shifted(__m256i index, __m256i minus, __m256i* quants) {
  __m256i negative = _mm256_sub_epi32(_mm256_setzero_si256(), minus);
  __m256i shift = _mm256_or_si256(_mm256_set1_epi8(1), negative);
  quants[0] = _mm256_add_epi8(gather(codebooks::kIq1, index, 0), shift);
  quants[1] = _mm256_add_epi8(gather(codebooks::kIq1, index, 4), shift);
}

static inline void expand(CodeReader<Iq2Xxs> in, CodeVectors& out) {
  __m256i indices = in.word(0);
  __m256i signs = in.word(1);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    put_signed(codebooks::kIq2Xxs, bits_of(indices, 8 * i, 8),
               eight_signs(bits_of(signs, 7 * i, 7)), out.quants + 2 * i);
  }
  out.scales[0] = out.scales[1] = odd(_mm256_srli_epi32(signs, 28));
}

static inline void expand(CodeReader<Iq2Xs> in, CodeVectors& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m256i code = bits_of(in.word(i / 2), 16 * (i % 2), 16);
    put_signed(codebooks::kIq2Xs, bits_of(code, 0, 9), eight_signs(bits_of(code, 9, 7)),
               out.quants + 2 * i);
  }
  out.scales[0] = odd(bits_of(in.byte(0), 0, 4));
  out.scales[1] = odd(bits_of(in.byte(0), 4, 4));
}

static inline void expand(CodeReader<Iq2S> in, CodeVectors& out) {
  __m256i high = in.byte(0);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m256i index = above(bits_of(in.word(0), 8 * i, 8), bits_of(high, 2 * i, 2), 8);
    put_signed(codebooks::kIq2S, index, bits_of(in.word(1), 8 * i, 8), out.quants + 2 * i);
  }
  out.scales[0] = odd(bits_of(in.byte(1), 0, 4));
  out.scales[1] = odd(bits_of(in.byte(1), 4, 4));
}

static inline void expand(CodeReader<Iq3Xxs> in, CodeVectors& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m256i signs = eight_signs(bits_of(in.word(2), 7 * i, 7));
    __m256i indices = bits_of(in.word(i / 2), 16 * (i % 2), 16);
    __m256i* quants = out.quants + 2 * i;
    quants[0] = negate(gather(codebooks::kIq3Xxs, bits_of(indices, 0, 8)), signs, 0);
    quants[1] = negate(gather(codebooks::kIq3Xxs, bits_of(indices, 8, 8)), signs, 4);
  }
  out.scales[0] = out.scales[1] = odd(_mm256_srli_epi32(in.word(2), 28));
}

static inline void expand(CodeReader<Iq3S> in, CodeVectors& out) {
  __m256i high = in.byte(0);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    __m256i index = above(bits_of(in.word(i / 4), 8 * (i % 4), 8), bits_of(high, i, 1), 8);
    out.quants[i] = negate(gather(codebooks::kIq3S, index), in.word(2), 4 * i);
  }
  out.scales[0] = out.scales[1] = odd(bits_of(in.byte(1), 0, 4));
}

static inline void expand(CodeReader<Iq1S> in, CodeVectors& out) {
  __m256i high = above(in.byte(0), in.byte(1), 8);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m256i index = above(bits_of(in.word(0), 8 * i, 8), bits_of(high, 3 * i, 3), 8);
    put_shifted(index, bits_of(high, 15, 1), out.quants + 2 * i);
  }
  out.scales[0] = out.scales[1] = odd(bits_of(high, 12, 3));
}

static inline void expand(CodeReader<Iq1M> in, CodeVectors& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m256i high = bits_of(in.byte(i / 2), 4 * (i % 2), 4);
    __m256i index = above(bits_of(in.word(0), 8 * i, 8), bits_of(high, 0, 3), 8);
    put_shifted(index, bits_of(high, 3, 1), out.quants + 2 * i);
  }
  out.scales[0] = odd(bits_of(in.byte(2), 0, 3));
  out.scales[1] = odd(bits_of(in.byte(2), 3, 5));
}

// Digits to the base 3, five to a byte: a third of a byte x is 171 x / 512, rounded down.
static inline void expand(CodeReader<Tq1> in, CodeVectors& out) {
  for (__m256i& four : out.quants) four = _mm256_setzero_si256();
  __m256i rest = _mm256_setzero_si256();
#pragma GCC unroll 32
  for (int i = 0; i < 32; ++i) {
    int byte = i / 5;
    if (i % 5 == 0) rest = byte < 4 ? bits_of(in.word(0), 8 * byte, 8) : in.byte(byte - 4);
    __m256i third = _mm256_srli_epi16(_mm256_mullo_epi16(rest, _mm256_set1_epi16(171)), 9);
    __m256i digit = _mm256_sub_epi32(rest, _mm256_add_epi32(third, _mm256_add_epi32(third, third)));
    out.quants[i / 4] = above(out.quants[i / 4], digit, 8 * (i % 4));
    rest = third;
  }
  for (__m256i& four : out.quants) four = _mm256_sub_epi8(four, _mm256_set1_epi8(1));
  out.scales[0] = out.scales[1] = _mm256_set1_epi32(1);
}

template <class Format>
static inline CodeVectors expand_codes(const std::byte* block) {
  CodeVectors vectors;
  expand(CodeReader<Format>{block}, vectors);
  return vectors;
}

}  // namespace potluck::avx2
