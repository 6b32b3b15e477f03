#include "engine/kernels/panel.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/hash.h"
#include "engine/base/random.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

struct Source {
  TensorType type;
  uint32_t rows;
  uint32_t columns;
  ByteVector blocks;
  std::vector<float> values;  // decoded by the table's decoder
};

Source make_source(const BlockFormat& format, uint32_t rows, uint32_t columns, RandomDraws& draws) {
  Source source{format.type, rows, columns, random_blocks(format.type, rows, columns, draws), {}};
  source.values.resize(uint64_t{rows} * columns);
  format.decode(source.blocks.data(), source.values.size(), source.values.data());
  return source;
}

// Packs columns [begin, begin + count) and compares every decoded row with the source.
void expect_round_trip(const Source& source, uint32_t begin, uint32_t count) {
  PanelShape shape{source.type, source.rows, count, panel_phase(source.type, begin)};
  EXPECT_EQ(shape.panel_bytes() % 8, 0u);
  ByteVector packed(shape.bytes() + 1, std::byte{0x5a});
  pack_panels(shape, source.blocks.data(), source.columns, begin, packed.data());
  EXPECT_EQ(packed.back(), std::byte{0x5a});
  std::vector<float> row(count);
  for (uint32_t r = 0; r < source.rows; ++r) {
    unpack_row({shape, packed.data()}, r, row.data());
    const float* expected = source.values.data() + uint64_t{r} * source.columns + begin;
    ASSERT_EQ(std::memcmp(row.data(), expected, count * sizeof(float)), 0)
        << block_format(source.type).name << " row " << r << " columns " << begin << "+" << count;
  }
}

TEST(Panel, KeepsEveryValueOfWholeRows) {
  RandomDraws draws(1);
  for (const BlockFormat& format : block_formats()) {
    for (uint32_t rows : {1u, 7u, 8u, 19u}) {
      Source source = make_source(format, rows, 512, draws);
      expect_round_trip(source, 0, 512);
    }
  }
}

TEST(Panel, KeepsEveryValueOfRandomCuts) {
  RandomDraws draws(2);
  for (const BlockFormat& format : block_formats()) {
    uint32_t step = format.quantized() ? 32 : 1;
    Source source = make_source(format, 11, 1024, draws);
    for (int i = 0; i < 100; ++i) {
      uint32_t begin = draws.below(1024 / step) * step;
      uint32_t count = (1 + draws.below((1024 - begin) / step)) * step;
      expect_round_trip(source, begin, count);
    }
    expect_round_trip(source, 0, 1000);  // ends inside a block
  }
}

// The sizes that readers of stored units rely on.
TEST(Panel, HasTheWrittenSizes) {
  auto bytes = [](TensorType type, uint32_t columns, uint32_t phase) {
    return PanelShape{type, 8, columns, phase}.panel_bytes();
  };
  EXPECT_EQ(bytes(TensorType::kF32, 10, 0), 320u);
  EXPECT_EQ(bytes(TensorType::kF16, 10, 0), 160u);
  EXPECT_EQ(bytes(TensorType::kBF16, 10, 0), 160u);
  EXPECT_EQ(bytes(TensorType::kQ8_0, 64, 0), 2 * (16u + 256));
  EXPECT_EQ(bytes(TensorType::kQ4_0, 64, 0), 2 * (16u + 128));
  EXPECT_EQ(bytes(TensorType::kQ4_K, 256, 0), 32u + 8 * (16 + 128));
  EXPECT_EQ(bytes(TensorType::kQ6_K, 256, 0), 16u + 8 * (16 + 128 + 64));
  EXPECT_EQ(bytes(TensorType::kQ4_1, 32, 0), 32u + 128);
  EXPECT_EQ(bytes(TensorType::kQ5_0, 32, 0), 16u + 160);
  EXPECT_EQ(bytes(TensorType::kQ5_1, 32, 0), 32u + 160);
  EXPECT_EQ(bytes(TensorType::kIQ4_NL, 32, 0), 16u + 128);
  EXPECT_EQ(bytes(TensorType::kMXFP4, 96, 0), 3 * (8u + 128));
  EXPECT_EQ(bytes(TensorType::kNVFP4, 96, 0), 3 * (16u + 128));
  EXPECT_EQ(bytes(TensorType::kQ1_0, 128, 0), 16u + 4 * 32);
  EXPECT_EQ(bytes(TensorType::kQ1_0, 64, 96), 2 * 16u + 2 * 32);
  EXPECT_EQ(bytes(TensorType::kQ2_0, 64, 0), 16u + 2 * 64);
  EXPECT_EQ(bytes(TensorType::kQ2_0, 64, 32), 2 * 16u + 2 * 64);
  EXPECT_EQ(bytes(TensorType::kQ2_K, 256, 0), 32u + 8 * (16 + 64));
  EXPECT_EQ(bytes(TensorType::kQ3_K, 256, 0), 16u + 8 * (16 + 96));
  EXPECT_EQ(bytes(TensorType::kQ5_K, 256, 0), 32u + 8 * (16 + 160));
  EXPECT_EQ(bytes(TensorType::kIQ4_XS, 256, 0), 16u + 8 * (8 + 128));
  EXPECT_EQ(bytes(TensorType::kQ4_K, 128, 224), 2 * 32u + 4 * (16 + 128));
  EXPECT_EQ(bytes(TensorType::kQ6_K, 32, 128), 16u + 208);
  EXPECT_EQ(bytes(TensorType::kQ6_K, 0, 0), 0u);
  EXPECT_EQ((PanelShape{TensorType::kQ8_0, 9, 32, 0}.bytes()), 2 * 272u);
}

// Panels of whole rows are hardly larger than the file's blocks: a tensor's memory is that of its
// bytes and at most 4 % (TQ1_0: 8 %, its digits are packed by blocks of 32).
TEST(Panel, IsHardlyLargerThanTheFile) {
  for (const BlockFormat& format : block_formats()) {
    PanelShape shape{format.type, 8, 2048, 0};
    uint64_t blocks = 8 * 2048 / format.block_elements * format.block_bytes;
    uint64_t limit = blocks * (format.type == TensorType::kTQ1_0 ? 108 : 104) / 100;
    EXPECT_GE(shape.bytes(), blocks) << format.name;
    EXPECT_LE(shape.bytes(), limit) << format.name;
  }
}

// The order of bytes inside a block, against the picture in the header.
TEST(Panel, PlacesQuantsAsDocumented) {
  uint32_t rows = 8;
  ByteVector blocks(rows * 34);
  for (uint32_t r = 0; r < rows; ++r) {
    store(blocks.data() + 34 * r, float_to_half(static_cast<float>(r + 1)));
    for (uint32_t c = 0; c < 32; ++c) blocks[34 * r + 2 + c] = std::byte(16 * r + c % 16);
  }
  PanelShape shape{TensorType::kQ8_0, rows, 32, 0};
  ByteVector packed(shape.bytes());
  pack_panels(shape, blocks.data(), 32, 0, packed.data());
  for (uint32_t r = 0; r < rows; ++r) {
    EXPECT_EQ(half_to_float(load<uint16_t>(packed.data() + 2 * r)), static_cast<float>(r + 1));
    for (uint32_t c = 0; c < 32; ++c) {
      EXPECT_EQ(packed[16 + 32 * (c / 4) + 4 * r + c % 4], std::byte(16 * r + c % 16));
    }
  }
}

// Likewise of codes: the signs of a row, a nibble beside them, and the digits of TQ1_0.
TEST(Panel, PlacesCodesAsDocumented) {
  constexpr uint32_t kRow = 5;
  constexpr uint32_t kNumber = 100 + kRow;
  // IQ2_XXS: d, then of each 32 columns four indices and 28 signs below a scale.
  constexpr uint32_t kSigns = 1u << 9 | 1u << (21 + 6);  // columns 8 + 2 and 24 + 6
  ByteVector blocks(8 * 66);
  store(blocks.data() + 66 * kRow, float_to_half(2));
  store(blocks.data() + 66 * kRow + 2, kNumber << 16);
  store(blocks.data() + 66 * kRow + 6, kSigns | 11u << 28);
  PanelShape shape{TensorType::kIQ2_XXS, 8, 32, 0};
  ByteVector packed(shape.bytes());
  pack_panels(shape, blocks.data(), 256, 0, packed.data());
  EXPECT_EQ(half_to_float(load<uint16_t>(packed.data() + 2 * kRow)), 2);
  const std::byte* words = packed.data() + 16 + 4 * kRow;
  EXPECT_EQ(load<uint32_t>(words), kNumber << 16);
  // Byte 2: bit 1 is column 10, bit 4 + 3 is column 30.
  EXPECT_EQ(load<uint32_t>(words + 32), 1u << (16 + 1) | 1u << (16 + 7) | 11u << 28);

  // TQ1_0: the first digits of bytes 0-31 are columns 0-31. 171 is the least fraction that begins
  // with a 2, 86 with a 1.
  ByteVector digits(8 * 54);
  std::byte* row = digits.data() + 54 * kRow;
  row[1] = std::byte{171};   // column 1: the first digit of byte 1
  row[20] = std::byte{86};   // column 20: the fifth digit of byte 1
  row[27] = std::byte{171};  // column 27: byte 2, bits 4 and 5
  shape.type = TensorType::kTQ1_0;
  packed.assign(shape.bytes(), std::byte{0});
  pack_panels(shape, digits.data(), 256, 0, packed.data());
  // 2 * 81 + 1 of 243, rounded up.
  EXPECT_EQ(packed[16 + 4 * kRow + 1], std::byte{((2 * 81 + 1) * 256 + 242) / 243 ^ 128});
  EXPECT_EQ(packed[16 + 4 * kRow], std::byte{128});
  EXPECT_EQ(packed[16 + 32 + 3 * kRow + 2], std::byte{2 << 4});
  EXPECT_EQ(packed[16 + 32 + 3 * kRow], std::byte{0});
}

// The first eight bytes of SHA-256 of the panels of some cuts of random blocks. Stores and pools
// hold such bytes: who changes them raises the format's panel_version().
struct PanelDigest {
  std::string_view format;
  std::string_view digest;
};
constexpr PanelDigest kDigests[] = {
    {"F32", "7da2457f453cc2ac"},    {"F16", "f1cb96ccaa23a2e4"},    {"BF16", "f1cb96ccaa23a2e4"},
    {"Q4_0", "dd259a6bc004b09c"},   {"Q4_1", "417fdd356b4bfaca"},   {"Q5_0", "d08f633363408d48"},
    {"Q5_1", "59551774260e1619"},   {"Q8_0", "a9a409dbdb80d989"},   {"IQ4_NL", "dd259a6bc004b09c"},
    {"MXFP4", "43aa0dacd0c95798"},  {"NVFP4", "a594fd6c820c078c"},  {"Q1_0", "ccac34a941e2f5fc"},
    {"Q2_0", "a68d8d7bab0d34e0"},   {"Q2_K", "a3d2c09e760be970"},   {"Q3_K", "3d75c7e5d86a9c25"},
    {"Q4_K", "2f798303dc04e972"},   {"Q5_K", "415f96cbb4da222f"},   {"Q6_K", "e542abc9575e17bd"},
    {"IQ1_S", "d49a5c070c1fa805"},  {"IQ1_M", "e55ddb0fb0b842ef"},  {"IQ2_XXS", "2b0f58cc977726c7"},
    {"IQ2_XS", "bad9d4999e8ee4d2"}, {"IQ2_S", "60fa5dd97c3890f4"},  {"IQ3_XXS", "bb1f385b2b2821d5"},
    {"IQ3_S", "0a5170bf717f4e42"},  {"IQ4_XS", "7b7cb913e15d1b3d"}, {"TQ1_0", "7b6a108aabe427fe"},
    {"TQ2_0", "fb83f60a35500336"},
};

std::string digest_of_panels(const BlockFormat& format) {
  struct Cut {
    uint32_t rows;
    uint32_t begin;
    uint32_t columns;
  };
  constexpr uint32_t kRows = 19, kColumns = 1024;
  constexpr Cut kCuts[] = {{8, 0, 1024},  {19, 0, 1024}, {16, 96, 96}, {3, 224, 320},
                           {9, 480, 500}, {8, 32, 32},   {1, 0, 1000}};
  CounterRandom random(7);
  ByteVector source(kRows * kColumns / format.block_elements * format.block_bytes);
  for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(random.bits(i));
  ByteVector all;
  for (const Cut& cut : kCuts) {
    PanelShape shape{format.type, cut.rows, cut.columns, panel_phase(format.type, cut.begin)};
    ByteVector packed(shape.bytes(), std::byte{0x5a});
    pack_panels(shape, source.data(), kColumns, cut.begin, packed.data());
    all.insert(all.end(), packed.begin(), packed.end());
  }
  return sha256(all).hex().substr(0, 16);
}

TEST(Panel, HasTheBytesThatStoresHold) {
  ASSERT_EQ(std::size(kDigests), block_formats().size());
  for (const PanelDigest& known : kDigests) {
    auto is_it = [&](const BlockFormat& format) { return format.name == known.format; };
    auto format = std::find_if(block_formats().begin(), block_formats().end(), is_it);
    ASSERT_NE(format, block_formats().end()) << known.format;
    EXPECT_EQ(digest_of_panels(*format), known.digest) << known.format;
  }
}

TEST(Panel, PadsRowsWithZeros) {
  RandomDraws draws(3);
  ByteVector blocks = random_blocks(TensorType::kQ8_0, 1, 32, draws);
  PanelShape shape{TensorType::kQ8_0, 1, 32, 0};
  ByteVector packed(shape.bytes(), std::byte{1});
  pack_panels(shape, blocks.data(), 32, 0, packed.data());
  for (uint32_t i = 2; i < 16; ++i) EXPECT_EQ(packed[i], std::byte{0});
  for (uint32_t i = 16; i < 272; ++i) {
    if ((i - 16) % 32 >= 4) {
      EXPECT_EQ(packed[i], std::byte{0}) << i;
    }
  }
}

}  // namespace
}  // namespace potluck
