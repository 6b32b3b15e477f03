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

// Magnitudes of kCount columns; bit i of `signs` makes column i negative.
template <uint32_t kCount>
void put_signed(const int8_t (&entry)[kCount], uint32_t signs, uint8_t* q) {
  for (uint32_t i = 0; i < kCount; ++i) {
    bool negative = (signs >> i & 1) != 0;
    q[i] = static_cast<uint8_t>(negative ? -entry[i] : entry[i]);
  }
}

// Eight times the entry, plus or minus one: IQ1 shifts its grid of -1, 0 and 1 by an eighth either
// way.
void put_shifted(const int8_t (&entry)[8], bool minus, uint8_t* q) {
  for (uint32_t i = 0; i < 8; ++i) q[i] = static_cast<uint8_t>(entry[i] + (minus ? -1 : 1));
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

}  // namespace

void Iq2Xxs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
}

void Iq2Xxs::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.words[1] >> 28;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t signs = eight_signs(in.words[1] >> 7 * i & 127);
    put_signed(codebooks::kIq2Xxs.entry[byte_of(in.words[0], i)], signs, out.q + 8 * i);
  }
}

void Iq2Xs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  out.bytes[0] = byte_at(block, 66 + part);
}

void Iq2Xs::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[0] & 15, in.bytes[0] >> 4, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t code = in.words[i / 2] >> 16 * (i % 2) & 0xffff;
    put_signed(codebooks::kIq2Xs.entry[code & 511], eight_signs(code >> 9), out.q + 8 * i);
  }
}

void Iq2S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  out.words[0] = load<uint32_t>(block + 2 + 4 * part);
  out.words[1] = load<uint32_t>(block + 34 + 4 * part);
  out.bytes[0] = byte_at(block, 66 + part);
  out.bytes[1] = byte_at(block, 74 + part);
}

void Iq2S::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[1] & 15, in.bytes[1] >> 4, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i) | (in.bytes[0] >> 2 * i & 3) << 8;
    put_signed(codebooks::kIq2S.entry[index], byte_of(in.words[1], i), out.q + 8 * i);
  }
}

void Iq3Xxs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  out.words[2] = load<uint32_t>(block + 66 + 4 * part);
}

void Iq3Xxs::expand(const CodedPart& in, BlockPart& out) {
  uint32_t scale = in.words[2] >> 28;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t signs = eight_signs(in.words[2] >> 7 * (i / 2) & 127) >> 4 * (i % 2);
    put_signed(codebooks::kIq3Xxs.entry[byte_of(in.words[i / 4], i % 4)], signs, out.q + 4 * i);
  }
}

void Iq3S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  out.words[2] = load<uint32_t>(block + 74 + 4 * part);
  out.bytes[0] = byte_at(block, 66 + part);
  out.bytes[1] = byte_at(block, 106 + part / 2) >> 4 * (part % 2) & 15;
}

void Iq3S::expand(const CodedPart& in, BlockPart& out) {
  start(in, in.bytes[1] & 15, in.bytes[1] & 15, out);
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t index = byte_of(in.words[i / 4], i % 4) | (in.bytes[0] >> i & 1u) << 8;
    put_signed(codebooks::kIq3S.entry[index], in.words[2] >> 4 * i & 15, out.q + 4 * i);
  }
}

void Iq1S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  out.words[0] = load<uint32_t>(block + 2 + 4 * part);
  std::memcpy(out.bytes, block + 34 + 2 * part, 2);
}

void Iq1S::expand(const CodedPart& in, BlockPart& out) {
  uint32_t high = in.bytes[0] | in.bytes[1] << 8;
  uint32_t scale = high >> 12 & 7;
  start(in, scale, scale, out);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t index = byte_of(in.words[0], i) | (high >> 3 * i & 7) << 8;
    put_shifted(codebooks::kIq1.entry[index], (high & 0x8000) != 0, out.q + 8 * i);
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
    uint32_t index = byte_of(in.words[0], i) | (high & 7) << 8;
    put_shifted(codebooks::kIq1.entry[index], (high & 8) != 0, out.q + 8 * i);
  }
}

void Tq1::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block + 52);
  // In GGUF the digits of a byte are 32 or 16 columns apart, across the borders of chunks. Packed
  // anew, 32 neighboring columns have seven bytes of their own.
  uint8_t bytes[7] = {};
  for (uint32_t i = 0; i < kBlock; ++i) {
    bytes[i / 5] += static_cast<uint8_t>(tq1_digit(block, kBlock * part + i) * kPower[i % 5]);
  }
  std::memcpy(out.words, bytes, 4);
  std::memcpy(out.bytes, bytes + 4, 3);
}

void Tq1::expand(const CodedPart& in, BlockPart& out) {
  start(in, 0, 0, out);
  uint32_t rest = 0;
  for (uint32_t i = 0; i < kBlock; ++i) {
    uint32_t index = i / 5;
    if (i % 5 == 0) rest = index < 4 ? byte_of(in.words[0], index) : in.bytes[index - 4];
    out.q[i] = static_cast<uint8_t>(rest % 3 - 1);
    rest /= 3;
  }
}

}  // namespace potluck
