#include "engine/kernels/coded_blocks.h"

#include <array>
#include <bit>
#include <cstring>

#include "engine/kernels/codebooks.h"
#include "engine/kernels/row_transpose.h"

namespace potluck {
namespace {

using block_fields::kBlock;

uint32_t byte_of(uint32_t word, uint32_t index) {
  return word >> 8 * index & 255;
}

void start(const CodedPart& in, uint32_t scale_low, uint32_t scale_high, BlockPart& out) {
  out.d = in.d;
  out.dmin = 0;
  out.scale[0] = static_cast<int16_t>(2 * scale_low + 1);
  out.scale[1] = static_cast<int16_t>(2 * scale_high + 1);
  out.minimum[0] = out.minimum[1] = 1;
}

// Seven signs; the eighth makes their number even. The formats save a bit that way: the quantizer
// flips the sign that costs least.
uint32_t eight_signs(uint32_t seven) {
  uint32_t parity = seven ^ seven >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return seven | (parity & 1) << 7;
}

// The signs of 8 columns.
uint32_t signs_in(uint32_t word, uint32_t eight) {
  uint32_t signs = 0;
  for (uint32_t i = 0; i < 8; ++i) signs |= (word >> (8 * (i % 4) + 4 * (i / 4) + eight) & 1) << i;
  return signs;
}
uint32_t seven_signs_in(uint32_t word, uint32_t eight) {
  return eight_signs(signs_in(word & 0x0fffffff, eight));
}

// Magnitudes of the columns of an entry; bit i of `signs` makes column i negative.
template <uint32_t kCount, uint32_t kLength, int kOffset>
void put_signed(const codebooks::Grid<kCount, kLength, kOffset>& grid, uint32_t index,
                uint32_t signs, uint8_t* q) {
  for (uint32_t i = 0; i < kLength; ++i) {
    int magnitude = grid.entry[index][i] - kOffset;
    q[i] = static_cast<uint8_t>((signs >> i & 1) != 0 ? -magnitude : magnitude);
  }
}

// Eight times the entry, plus or minus one: IQ1 shifts its grid of -1, 0 and 1 by an eighth either
// way.
void put_shifted(uint32_t index, bool minus, uint8_t* q) {
  for (uint32_t i = 0; i < 8; ++i) {
    int entry = codebooks::kIq1.entry[index][i] - codebooks::kIq1.kOffset;
    q[i] = static_cast<uint8_t>(entry + (minus ? -1 : 1));
  }
}

// TQ1_0 keeps a number below 243 as a fraction of 256: three times that has the digit in front, and
// as the rest the fraction of the other digits.
constexpr uint32_t digit_of_fraction(uint8_t fraction, uint32_t n) {
  for (uint32_t before = 0; before < n; ++before) fraction = static_cast<uint8_t>(3 * fraction);
  return fraction * 3u >> 8;
}

using row_transpose::Bytes;

// Digit n of sixteen fractions: without products, a vector of bytes has none.
void take_digits(Bytes fractions, uint32_t n, uint8_t* out) {
  for (uint32_t before = 0; before < n; ++before) fractions += fractions + fractions;
  const Bytes digits =
      Bytes{} - std::bit_cast<Bytes>(fractions > 85) - std::bit_cast<Bytes>(fractions > 170);
  store(out, digits);
}

// Columns 0-159 are 5 digits of each of 32 bytes, columns 160-239 of 16, columns 240-255 4 digits
// of 4 bytes: columns of the same digit stand together.
void take_tq1_digits(const std::byte* block, uint32_t part, uint8_t* digits) {
  if (part < 5) {
    take_digits(load<Bytes>(block), part, digits);
    take_digits(load<Bytes>(block + 16), part, digits + 16);
    return;
  }
  const auto middle = load<Bytes>(block + 32);
  take_digits(middle, 2 * part - 10, digits);
  if (part < 7) return take_digits(middle, 2 * part - 9, digits + 16);
  const auto last = load<uint32_t>(block + 48);
  constexpr Bytes kPowers = {1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27};
  const row_transpose::Words all = {last, last, last, last};
  take_digits(std::bit_cast<Bytes>(all) * kPowers, 0, digits + 16);
}

// Numbers of five digits as fractions of 256, rounded up.
constexpr auto kFractions = [] {
  std::array<uint8_t, 243> fractions{};
  for (uint32_t number = 0; number < fractions.size(); ++number) {
    fractions[number] = static_cast<uint8_t>((number * 256 + 242) / 243);
  }
  return fractions;
}();

}  // namespace

void Iq2Xxs::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.words[1] >> 28;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i);
    put_signed(codebooks::kIq2Xxs, index, seven_signs_in(in.words[1], i), out.q + 8 * i);
  }
}

void Iq2Xs::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[0] & 15, in.bytes[0] >> 4, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i) | (in.words[1] >> (28 + i) & 1) << 8;
    put_signed(codebooks::kIq2Xs, index, seven_signs_in(in.words[1], i), out.q + 8 * i);
  }
}

void Iq2S::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[1] & 15, in.bytes[1] >> 4, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i) | (in.bytes[0] >> 2 * i & 3) << 8;
    put_signed(codebooks::kIq2S, index, signs_in(in.words[1], i), out.q + 8 * i);
  }
}

void Iq3Xxs::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.words[2] >> 28;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t signs = seven_signs_in(in.words[2], i / 2) >> 4 * (i % 2);
    put_signed(codebooks::kIq3Xxs, byte_of(in.words[i / 4], i % 4), signs, out.q + 4 * i);
  }
}

void Iq3S::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[1] & 15, in.bytes[1] & 15, out);
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t index = byte_of(in.words[i / 4], i % 4) | (in.bytes[0] >> i & 1u) << 8;
    uint32_t signs = signs_in(in.words[2], i / 2) >> 4 * (i % 2);
    put_signed(codebooks::kIq3S, index, signs, out.q + 4 * i);
  }
}

void Iq1S::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.bytes[0] >> 6 | (in.bytes[1] >> 4 & 4);
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t high = in.bytes[i / 2] >> 3 * (i % 2) & 7;
    put_shifted(byte_of(in.words[0], i) | high << 8, in.bytes[1] >= 128, out.q + 8 * i);
  }
}

void Iq1M::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[2] & 7, in.bytes[2] >> 3, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t high = in.bytes[i / 2] >> 4 * (i % 2) & 15;
    put_shifted(byte_of(in.words[0], i) | (high & 7) << 8, (high & 8) != 0, out.q + 8 * i);
  }
}

void Tq1::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  CodedRows rows;
  gather_rows(block, 0, 1, part, rows);
  out = rows.part(0);
  out.d = scale(block);
}

// In GGUF the digits of a byte are 32 or 16 columns apart, across the borders of chunks. Packed
// anew, 32 neighboring columns have seven bytes of their own. Four digits stand in a word, a byte
// each, and those of eight rows in two vectors.
void Tq1::gather_rows(const std::byte* blocks, uint64_t stride, uint32_t rows, uint32_t part,
                      CodedRows& out) {
  uint8_t digits[kPanelRows][kBlock];
  for (uint32_t row = 0; row < rows; ++row) {
    take_tq1_digits(blocks + row * stride, part, digits[row]);
  }
  for (uint32_t row = rows; row < kPanelRows; ++row) std::fill_n(digits[row], kBlock, 0);
  using row_transpose::Words;
  Words fours[kBlock / 4][2];
  transpose_words(digits[0], kBlock, reinterpret_cast<std::byte*>(fours[0]));
  transpose_words(digits[0] + kBlock / 2, kBlock, reinterpret_cast<std::byte*>(fours[4]));
  uint8_t numbers[kPanelRows][4];
  for (uint32_t half = 0; half < 2; ++half) {
    Words last = {};
    for (uint32_t b = 0; b < 4; ++b) last |= (fours[4 + b][half] & 255) << 8 * b;
    // Four numbers at once: none is above 242, so that no byte runs over.
    Words four = fours[0][half];
    for (uint32_t n = 1; n < 4; ++n) four += four + four + fours[n][half];
    four += four + four + last;
    store(numbers[4 * half], four);
    const Words pairs = fours[4][half] | fours[5][half] << 2 | fours[6][half] << 4;
    store(out.bytes[4 * half], (pairs | fours[7][half] << 6) >> 8);
  }
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t word = 0;
    for (uint32_t b = 0; b < 4; ++b) word |= uint32_t{kFractions[numbers[row][b]]} << 8 * b;
    out.words[row] = word ^ 0x80808080;
  }
}

void Tq1::expand(const CodedPart& in, BlockPart& out) {
  start(in, 0, 0, out);
  auto weight = [](uint32_t digit) { return static_cast<uint8_t>(digit - 1); };
  for (uint32_t b = 0; b < 4; ++b) {
    auto fraction = static_cast<uint8_t>(byte_of(in.words[0], b) ^ 128);
    for (uint32_t n = 0; n < 5; ++n) {
      out.q[n < 4 ? 4 * n + b : 16 + 4 * b] = weight(digit_of_fraction(fraction, n));
    }
  }
  for (uint32_t b = 0; b < 3; ++b) {
    for (uint32_t n = 0; n < 4; ++n) {
      out.q[16 + 4 * n + b + 1] = weight(in.bytes[b] >> 2 * n & 3u);
    }
  }
}

}  // namespace potluck
