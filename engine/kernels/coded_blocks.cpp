#include "engine/kernels/coded_blocks.h"

#include <array>
#include <cstring>

#include "engine/kernels/codebooks.h"

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

constexpr uint32_t kPower[5] = {1, 3, 9, 27, 81};

// TQ1_0 keeps a number below 243 as a fraction of 256: the digit after n others is read off the
// top, by multiplications instead of divisions.
uint32_t digit_of_fraction(uint8_t fraction, uint32_t n) {
  return (fraction * kPower[n] & 255) * 3 >> 8;
}

// Digit n of kCount bytes: digit_of_fraction() in 16 bits, so that the compiler takes many at once.
template <uint32_t kCount>
void take_digits(const std::byte* from, uint32_t n, uint8_t* out) {
  uint8_t fractions[kCount];
  std::memcpy(fractions, from, kCount);
  uint8_t digits[kCount];
  const auto power = static_cast<uint16_t>(kPower[n]);
  for (uint32_t i = 0; i < kCount; ++i) {
    const auto rest = static_cast<uint8_t>(static_cast<uint16_t>(fractions[i] * power));
    digits[i] = static_cast<uint8_t>(static_cast<uint16_t>(rest * 3) >> 8);
  }
  std::memcpy(out, digits, kCount);
}

// Columns 0-159 are 5 digits of each of 32 bytes, columns 160-239 of 16, columns 240-255 4 digits
// of 4 bytes: columns of the same digit stand together.
void take_tq1_digits(const std::byte* block, uint32_t part, uint8_t* digits) {
  if (part < 5) return take_digits<32>(block, part, digits);
  const std::byte* middle = block + 32;
  take_digits<16>(middle, 2 * part - 10, digits);
  if (part < 7) return take_digits<16>(middle, 2 * part - 9, digits + 16);
  for (uint32_t n = 0; n < 4; ++n) take_digits<4>(block + 48, n, digits + 16 + 4 * n);
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

// In GGUF the digits of a byte are 32 or 16 columns apart, across the borders of chunks. Packed
// anew, 32 neighboring columns have seven bytes of their own.
void Tq1::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block + 52);
  uint8_t digits[kBlock];
  take_tq1_digits(block, part, digits);
  uint32_t fours[kBlock / 4];  // digits, a byte each
  std::memcpy(fours, digits, sizeof(fours));
  uint32_t last = 0;
  for (uint32_t b = 0; b < 4; ++b) last |= (fours[4 + b] & 255) << 8 * b;
  // Four numbers at once: none is above 242, so that no byte runs over.
  const uint32_t numbers = (((fours[0] * 3 + fours[1]) * 3 + fours[2]) * 3 + fours[3]) * 3 + last;
  for (uint32_t b = 0; b < 4; ++b) {
    out.words[0] |= (kFractions[byte_of(numbers, b)] ^ 128u) << 8 * b;
  }
  const uint32_t pairs = fours[4] | fours[5] << 2 | fours[6] << 4 | fours[7] << 6;
  for (uint32_t b = 0; b < 3; ++b) out.bytes[b] = static_cast<uint8_t>(byte_of(pairs, b + 1));
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
