#include "tests/support/model_maker/block_filler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/kernels/block_format.h"

namespace potluck::test {
namespace {

uint8_t byte_at(const std::byte* block, size_t index) {
  return std::to_integer<uint8_t>(block[index]);
}

template <size_t kAt>
void put_half(std::byte* block, double value) {
  uint16_t half = float_to_half(static_cast<float>(value));
  std::memcpy(block + kAt, &half, sizeof half);
}

// Most formats are not symmetric around zero; a scale of either sign makes the mean zero.
double either_sign(double scale, uint64_t more) {
  return more % 2 == 0 ? scale : -scale;
}

template <size_t kAt>
void scaled(std::byte* block, double scale, uint64_t more) {
  put_half<kAt>(block, either_sign(scale, more));
}

// Q4_1 and Q5_1: value d * q + m, m in the middle of the range.
template <int kLargest>
void scaled_with_offset(std::byte* block, double scale, uint64_t) {
  put_half<0>(block, scale);
  put_half<2>(block, -scale * kLargest / 2);
}

// -128 is a code that no quantizer writes.
void q8_0(std::byte* block, double scale, uint64_t more) {
  put_half<0>(block, either_sign(scale, more));
  for (size_t i = 2; i < 34; ++i) {
    if (block[i] == std::byte{0x80}) block[i] = std::byte{0x81};
  }
}

// The same 4 bits as scale and minimum of each sixteenth; dmin puts zero into the middle.
void q2_k(std::byte* block, double scale, uint64_t) {
  for (size_t i = 0; i < 16; ++i) block[i] = std::byte((byte_at(block, i) & 15) * 17);
  put_half<80>(block, scale);
  put_half<82>(block, scale * 3 / 2);
}

// Q4_K and Q5_K: the same number of 1 to 8 as scale and minimum of each eighth. Larger ones would
// want a d so small that a half has too few bits left for it.
template <int kLargest>
void scaled_k(std::byte* block, double scale, uint64_t) {
  for (size_t i = 4; i < 8; ++i) block[i] = std::byte((byte_at(block, i) & 7) + 1);
  std::copy_n(block + 4, 4, block + 8);
  for (size_t i = 12; i < 16; ++i) block[i] = std::byte(((byte_at(block, i) & 7) + 1) * 17);
  put_half<0>(block, scale);
  put_half<2>(block, scale * kLargest / 2);
}

// Scales of 1 to 4 with either sign, for the same reason.
void q6_k(std::byte* block, double scale, uint64_t) {
  for (size_t i = 192; i < 208; ++i) {
    int magnitude = (byte_at(block, i) & 3) + 1;
    block[i] = std::byte(static_cast<uint8_t>(byte_at(block, i) < 128 ? magnitude : -magnitude));
  }
  put_half<208>(block, scale);
}

// Scales of 1 to 4, stored with 32 added, likewise.
void iq4_xs(std::byte* block, double scale, uint64_t more) {
  block[2] = block[3] = std::byte{0xaa};
  for (size_t i = 4; i < 8; ++i) block[i] = std::byte((byte_at(block, i) & 0x33) + 0x11);
  put_half<0>(block, either_sign(scale, more));
}

// The f16 scale lies in the upper four bits of four 16-bit words.
void iq1_m(std::byte* block, double scale, uint64_t more) {
  uint16_t half = float_to_half(static_cast<float>(either_sign(scale, more)));
  for (size_t word = 0; word < 4; ++word) {
    size_t at = 48 + 2 * word + 1;
    int nibble = (half >> (4 * word)) & 15;
    block[at] = std::byte((byte_at(block, at) & 15) | (nibble << 4));
  }
}

// Scales are powers of two: a choice of the two neighbors has the wanted mean square. The values
// that an exponent e stands for are multiples of 2^(e - 128).
void mxfp4(std::byte* block, double scale, uint64_t more) {
  double exponent = std::log2(scale);
  double below = std::floor(exponent);
  double chance_above = (std::exp2(2 * (exponent - below)) - 1) / 3;
  bool above = static_cast<double>(more >> 11) * 0x1.0p-53 < chance_above;
  double stored = 128 + below + (above ? 1 : 0);
  block[0] = std::byte(static_cast<uint8_t>(std::clamp(stored, 0.0, 254.0)));
}

// Makes some quants zero, so that the mean square is `share` of what it was; or, with `ones`, makes
// the others 1 and -1.
void thin_out(std::byte* quants, double share, bool ones, uint64_t more) {
  CounterRandom random(more);
  for (size_t i = 0; i < 64; ++i) {
    int shift = 4 * static_cast<int>(i % 2);
    int quant = byte_at(quants, i / 2) >> shift & 15;
    int kept = ones ? (quant & 8) | 1 : quant;
    if (random.uniform(i) >= share) kept = 0;
    quants[i / 2] = (quants[i / 2] & std::byte(0xf0 >> shift)) | std::byte(kept << shift);
  }
}

// A scale stands for an integer of units of 2^-10, which are large for small deviations: then
// quants are made zero.
void nvfp4(std::byte* block, double scale, uint64_t more) {
  constexpr double kMeanSquare = 34.25;  // of the codebook
  double units = scale * 1024;
  bool ones = units * units * kMeanSquare < 1;
  if (units < 1) {
    thin_out(block + 4, units * units * (ones ? kMeanSquare : 1), ones, more);
    units = 1;
  }
  int16_t below = 0;
  while (below < 126 && small_float_units(below + 1) <= units) ++below;
  double low = small_float_units(below);
  double high = small_float_units(below + 1);
  double chance = (units * units - low * low) / (high * high - low * low);
  for (size_t i = 0; i < 4; ++i) {
    bool above = static_cast<double>(more >> (16 * i) & 0xffff) < chance * 65536;
    block[i] = std::byte(static_cast<uint8_t>(below + (above && below < 126 ? 1 : 0)));
  }
}

// Five or four ternary digits to a byte, as ceil(number * 256 / 243).
void tq1_0(std::byte* block, double scale, uint64_t more) {
  for (size_t i = 0; i < 52; ++i) {
    uint32_t digits = i < 48 ? 243u * byte_at(block, i) >> 8 : (81u * byte_at(block, i) >> 8) * 3;
    block[i] = std::byte(static_cast<uint8_t>((digits * 256 + 242) / 243));
  }
  put_half<52>(block, either_sign(scale, more));
}

// Codes 0, 1 and 2; a random 3 becomes a 1.
void tq2_0(std::byte* block, double scale, uint64_t more) {
  for (size_t i = 0; i < 64; ++i) {
    uint8_t codes = byte_at(block, i);
    block[i] = std::byte(static_cast<uint8_t>(codes & ~((codes & 0x55) << 1)));
  }
  put_half<64>(block, either_sign(scale, more));
}

// Units of the codebook formats were measured over their whole codebooks; the others follow from
// the ranges of quants and scales.
constexpr std::array kFormats = {
    FillFormat{0, "F32", 1, 4, 1, nullptr},
    FillFormat{1, "F16", 1, 2, 1, nullptr},
    FillFormat{30, "BF16", 1, 2, 1, nullptr},
    FillFormat{2, "Q4_0", 32, 18, 4.6368, scaled<0>},
    FillFormat{3, "Q4_1", 32, 20, 4.6098, scaled_with_offset<15>},
    FillFormat{6, "Q5_0", 32, 22, 9.2466, scaled<0>},
    FillFormat{7, "Q5_1", 32, 24, 9.2331, scaled_with_offset<31>},
    FillFormat{8, "Q8_0", 32, 34, 73.9, q8_0},
    FillFormat{10, "Q2_K", 256, 84, 9.8425, q2_k},
    FillFormat{11, "Q3_K", 256, 110, 43.338, scaled<108>},
    FillFormat{12, "Q4_K", 256, 144, 23.279, scaled_k<15>},
    FillFormat{13, "Q5_K", 256, 176, 46.625, scaled_k<31>},
    FillFormat{14, "Q6_K", 256, 210, 50.608, q6_k},
    FillFormat{16, "IQ2_XXS", 256, 66, 53.43, scaled<0>},
    FillFormat{17, "IQ2_XS", 256, 74, 55.85, scaled<0>},
    FillFormat{22, "IQ2_S", 256, 82, 56.37, scaled<0>},
    FillFormat{18, "IQ3_XXS", 256, 98, 142.3, scaled<0>},
    FillFormat{21, "IQ3_S", 256, 110, 140.5, scaled<0>},
    FillFormat{19, "IQ1_S", 256, 50, 7.18, scaled<0>},
    FillFormat{29, "IQ1_M", 256, 56, 7.197, iq1_m},
    FillFormat{20, "IQ4_NL", 32, 18, 67.55, scaled<0>},
    FillFormat{23, "IQ4_XS", 256, 136, 185, iq4_xs},
    FillFormat{39, "MXFP4", 32, 17, 5.8523, mxfp4},
    FillFormat{40, "NVFP4", 64, 36, 5.8523, nvfp4},
    FillFormat{41, "Q1_0", 128, 18, 1, scaled<0>},
    FillFormat{42, "Q2_0", 64, 18, 1.2247, scaled<0>},
    FillFormat{34, "TQ1_0", 256, 54, 0.8165, tq1_0},
    FillFormat{35, "TQ2_0", 256, 66, 0.70711, tq2_0},
};

// Uniform of the wanted deviation, 16 random bits to a value.
float uniform_value(const CounterRandom& random, double deviation, uint64_t index) {
  uint64_t bits = random.bits(index / 4) >> (16 * (index % 4));
  double unit = (static_cast<double>(bits & 0xffff) + 0.5) / 32768 - 1;
  return static_cast<float>(unit * std::sqrt(3.0) * deviation);
}

void fill_floats(uint32_t type, const CounterRandom& random, double deviation, uint64_t first,
                 MutableByteSpan out) {
  size_t bytes = type == 0 ? 4 : 2;
  for (uint64_t i = 0; i * bytes < out.size(); ++i) {
    float value = uniform_value(random, deviation, first + i);
    uint32_t stored = std::bit_cast<uint32_t>(value);
    if (type == 1) stored = float_to_half(value);
    if (type == 30) stored >>= 16;
    std::memcpy(out.data() + i * bytes, &stored, bytes);
  }
}

void fill_bits(const CounterRandom& random, uint64_t block, MutableByteSpan out) {
  size_t at = 0;
  for (uint64_t word = 0; at < out.size(); ++word, at += sizeof(uint64_t)) {
    uint64_t bits = random.bits(block, word);
    std::memcpy(out.data() + at, &bits, std::min(sizeof bits, out.size() - at));
  }
}

}  // namespace

std::span<const FillFormat> fill_formats() {
  return kFormats;
}

const FillFormat* find_fill_format(std::string_view name) {
  auto found = std::ranges::find(kFormats, name, &FillFormat::name);
  return found == kFormats.end() ? nullptr : &*found;
}

const FillFormat* find_fill_format(uint32_t type) {
  auto found = std::ranges::find(kFormats, type, &FillFormat::type);
  return found == kFormats.end() ? nullptr : &*found;
}

void fill_blocks(const FillFormat& format, const CounterRandom& random, double deviation,
                 uint64_t first, MutableByteSpan out) {
  CHECK(out.size() % format.block_bytes == 0);
  if (format.finish == nullptr) return fill_floats(format.type, random, deviation, first, out);
  constexpr uint64_t kMoreBits = 1000;  // beyond the words of any block
  for (uint64_t i = 0; i * format.block_bytes < out.size(); ++i) {
    MutableByteSpan block = out.subspan(i * format.block_bytes, format.block_bytes);
    fill_bits(random, first + i, block);
    format.finish(block.data(), deviation / format.unit, random.bits(first + i, kMoreBits));
  }
}

}  // namespace potluck::test
