#include "engine/kernels/coded_blocks.h"

#include "engine/kernels/codebooks.h"

namespace potluck {
namespace {

using block_fields::byte_at;
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

// The bit of a word of signs that belongs to column `column` of the 8 with the number `eight`.
uint32_t sign_place(uint32_t eight, uint32_t column) {
  return 8 * (column % 4) + 4 * (column / 4) + eight;
}

// 4 times 7 or 8 signs to the word that coded_blocks.h describes.
uint32_t signs_from(uint32_t codes, uint32_t each) {
  uint32_t word = 0;
  for (uint32_t eight = 0; eight < 4; ++eight) {
    for (uint32_t i = 0; i < each; ++i) {
      word |= (codes >> (each * eight + i) & 1) << sign_place(eight, i);
    }
  }
  return word;
}

// The signs of 8 columns.
uint32_t signs_in(uint32_t word, uint32_t eight) {
  uint32_t signs = 0;
  for (uint32_t i = 0; i < 8; ++i) signs |= (word >> sign_place(eight, i) & 1) << i;
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

// Columns 0-159 are 5 digits of each of 32 bytes, columns 160-239 of 16, columns 240-255 4 digits
// of 4 bytes: columns of the same digit stand together.
uint32_t tq1_digit(const std::byte* block, uint32_t column) {
  if (column < 160) return digit_of_fraction(byte_at(block, column % 32), column / 32);
  column -= 160;
  if (column < 80) return digit_of_fraction(byte_at(block, 32 + column % 16), column / 16);
  column -= 80;
  return digit_of_fraction(byte_at(block, 48 + column % 4), column / 4);
}

// Five digits, the first one in front, as a fraction of 256, rounded up.
uint8_t fraction_of(const uint32_t digits[5]) {
  uint32_t number = 0;
  for (uint32_t i = 0; i < 5; ++i) number = 3 * number + digits[i];
  return static_cast<uint8_t>((number * 256 + 242) / 243);
}

}  // namespace

void Iq2Xxs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  const std::byte* codes = block + 2 + 8 * part;
  auto signs = load<uint32_t>(codes + 4);
  out.words[0] = load<uint32_t>(codes);
  out.words[1] = signs_from(signs, 7) | signs >> 28 << 28;
}

void Iq2Xxs::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.words[1] >> 28;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i);
    put_signed(codebooks::kIq2Xxs, index, seven_signs_in(in.words[1], i), out.q + 8 * i);
  }
}

// In GGUF 9 bits of an index and 7 signs are 16 bits.
void Iq2Xs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  uint32_t seven = 0;
  uint32_t high = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t code = load<uint16_t>(block + 2 + 8 * part + 2 * i);
    out.words[0] |= (code & 255) << 8 * i;
    high |= (code >> 8 & 1) << i;
    seven |= code >> 9 << 7 * i;
  }
  out.words[1] = signs_from(seven, 7) | high << 28;
  out.bytes[0] = byte_at(block, 66 + part);
}

void Iq2Xs::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[0] & 15, in.bytes[0] >> 4, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i) | (in.words[1] >> (28 + i) & 1) << 8;
    put_signed(codebooks::kIq2Xs, index, seven_signs_in(in.words[1], i), out.q + 8 * i);
  }
}

void Iq2S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  out.words[0] = load<uint32_t>(block + 2 + 4 * part);
  out.words[1] = signs_from(load<uint32_t>(block + 34 + 4 * part), 8);
  out.bytes[0] = byte_at(block, 66 + part);
  out.bytes[1] = byte_at(block, 74 + part);
}

void Iq2S::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[1] & 15, in.bytes[1] >> 4, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i) | (in.bytes[0] >> 2 * i & 3) << 8;
    put_signed(codebooks::kIq2S, index, signs_in(in.words[1], i), out.q + 8 * i);
  }
}

void Iq3Xxs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  auto signs = load<uint32_t>(block + 66 + 4 * part);
  out.words[2] = signs_from(signs, 7) | signs >> 28 << 28;
}

void Iq3Xxs::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.words[2] >> 28;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t signs = seven_signs_in(in.words[2], i / 2) >> 4 * (i % 2);
    put_signed(codebooks::kIq3Xxs, byte_of(in.words[i / 4], i % 4), signs, out.q + 4 * i);
  }
}

void Iq3S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  out.words[2] = signs_from(load<uint32_t>(block + 74 + 4 * part), 8);
  out.bytes[0] = byte_at(block, 66 + part);
  out.bytes[1] = byte_at(block, 106 + part / 2) >> 4 * (part % 2) & 15;
}

void Iq3S::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[1] & 15, in.bytes[1] & 15, out);
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t index = byte_of(in.words[i / 4], i % 4) | (in.bytes[0] >> i & 1u) << 8;
    uint32_t signs = signs_in(in.words[2], i / 2) >> 4 * (i % 2);
    put_signed(codebooks::kIq3S, index, signs, out.q + 4 * i);
  }
}

// In GGUF 16 bits are 4 times 3 high bits, a scale of 3 and the sign of the shift.
void Iq1S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  out.words[0] = load<uint32_t>(block + 2 + 4 * part);
  uint32_t high = load<uint16_t>(block + 34 + 2 * part);
  uint32_t scale = high >> 12 & 7;
  out.bytes[0] = static_cast<uint8_t>((high & 63) | (scale & 3) << 6);
  out.bytes[1] = static_cast<uint8_t>((high >> 6 & 63) | (scale >> 2) << 6 | high >> 15 << 7);
}

void Iq1S::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.bytes[0] >> 6 | (in.bytes[1] >> 4 & 4);
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t high = in.bytes[i / 2] >> 3 * (i % 2) & 7;
    put_shifted(byte_of(in.words[0], i) | high << 8, in.bytes[1] >= 128, out.q + 8 * i);
  }
}

// The 16 scales of 3 bits take 12 bits of each of 4 words; d stands in the upper 4 bits of them.
void Iq1M::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  uint32_t d = 0;
  for (uint32_t i = 0; i < 4; ++i) d |= load<uint16_t>(block + 48 + 2 * i) >> 12 << 4 * i;
  out.d = static_cast<uint16_t>(d);
  out.words[0] = load<uint32_t>(block + 4 * part);
  std::memcpy(out.bytes, block + 32 + 2 * part, 2);
  out.bytes[2] = load<uint16_t>(block + 48 + 2 * (part / 2)) >> 6 * (part % 2) & 63;
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
  uint32_t digits[kBlock];
  for (uint32_t i = 0; i < kBlock; ++i) digits[i] = tq1_digit(block, kBlock * part + i);
  for (uint32_t b = 0; b < 4; ++b) {
    uint32_t five[5] = {digits[b], digits[4 + b], digits[8 + b], digits[12 + b],
                        digits[16 + 4 * b]};
    out.words[0] |= (fraction_of(five) ^ 128u) << 8 * b;
  }
  for (uint32_t b = 0; b < 3; ++b) {
    uint32_t pairs = 0;
    for (uint32_t n = 0; n < 4; ++n) pairs |= digits[16 + 4 * n + b + 1] << 2 * n;
    out.bytes[b] = static_cast<uint8_t>(pairs);
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
