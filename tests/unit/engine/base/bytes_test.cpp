#include "engine/base/bytes.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

ByteVector bytes_from(std::initializer_list<int> values) {
  ByteVector bytes;
  for (int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(ByteReader, ReadsLittleEndianValuesAtAnyAlignment) {
  ByteVector bytes = bytes_from({0x7f, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 0xff});
  ByteReader reader(bytes);
  EXPECT_EQ(*reader.read<uint8_t>(), 0x7f);
  EXPECT_EQ(*reader.read<uint16_t>(), 0x1234);
  EXPECT_EQ(*reader.read<uint32_t>(), 0x12345678u);
  EXPECT_EQ(reader.position(), 7u);
  EXPECT_EQ(*reader.read<int32_t>(), -1);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(ByteReader, RefusesToReadPastTheEndAndStaysWhereItIs) {
  ByteVector bytes = bytes_from({1, 2, 3});
  ByteReader reader(bytes);
  ASSERT_TRUE(reader.read<uint8_t>().ok());
  auto value = reader.read<uint32_t>();
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(value.error().message, "truncated: 4 bytes wanted at offset 1, 2 left");
  EXPECT_EQ(reader.position(), 1u);
  EXPECT_EQ(*reader.read<uint16_t>(), 0x0302);
}

TEST(ByteReader, TakesViewsAndRefusesLengthsThatWouldWrapAround) {
  ByteVector bytes = bytes_from({1, 2, 3, 4});
  ByteReader reader(bytes);
  auto head = reader.take(1);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->data(), bytes.data());
  EXPECT_FALSE(reader.take(UINT64_MAX).ok());
  EXPECT_FALSE(reader.take(4).ok());
  auto rest = reader.take(3);
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->size(), 3u);
  EXPECT_TRUE(reader.take(0).ok());
  EXPECT_FALSE(reader.take(1).ok());
}

TEST(ByteWriter, WritesWhatTheReaderReads) {
  ByteWriter writer;
  writer.write<uint16_t>(0x1234);
  writer.write(1.5);
  writer.write(as_bytes("end"));
  ByteVector bytes = writer.take();
  ASSERT_EQ(bytes.size(), 13u);
  EXPECT_EQ(bytes[0], std::byte{0x34});
  EXPECT_EQ(bytes[1], std::byte{0x12});
  ByteReader reader(bytes);
  EXPECT_EQ(*reader.read<uint16_t>(), 0x1234);
  EXPECT_EQ(*reader.read<double>(), 1.5);
  EXPECT_EQ(as_text(*reader.take(3)), "end");
}

TEST(Arithmetic, RoundsUpWithoutOverflowingOnTheWay) {
  EXPECT_EQ(ceil_div<uint64_t>(0, 7), 0u);
  EXPECT_EQ(ceil_div<uint64_t>(14, 7), 2u);
  EXPECT_EQ(ceil_div<uint64_t>(15, 7), 3u);
  EXPECT_EQ(ceil_div<uint64_t>(UINT64_MAX, 2), uint64_t{1} << 63);
  EXPECT_EQ(round_up<uint64_t>(1, 4096), 4096u);
  EXPECT_EQ(round_up<uint64_t>(4096, 4096), 4096u);
}

TEST(Arithmetic, ReportsOverflow) {
  uint64_t out = 0;
  EXPECT_TRUE(checked_multiply(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, &out));
  EXPECT_EQ(out, 0xffffffff00000000u);
  EXPECT_FALSE(checked_multiply(uint64_t{1} << 32, uint64_t{1} << 32, &out));
  EXPECT_TRUE(checked_add(UINT64_MAX - 1, 1, &out));
  EXPECT_EQ(out, UINT64_MAX);
  EXPECT_FALSE(checked_add(UINT64_MAX, 1, &out));
}

}  // namespace
}  // namespace potluck
