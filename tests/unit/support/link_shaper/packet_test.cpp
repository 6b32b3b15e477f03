#include "tests/support/link_shaper/packet.h"

#include <gtest/gtest.h>

namespace potluck::link_shaper {
namespace {

// A segment from 10.88.0.1, port 1000, to 10.88.0.2, port 2000, that acknowledges 0x01020304.
Packet segment(uint8_t flags) {
  Packet packet(40, 0);
  packet[0] = 0x45;
  packet[9] = 6;
  packet[12] = packet[16] = 10;
  packet[13] = packet[17] = 88;
  packet[15] = 1;
  packet[19] = 2;
  packet[20] = 1000 >> 8;
  packet[21] = 1000 & 0xff;
  packet[22] = 2000 >> 8;
  packet[23] = 2000 & 0xff;
  packet[28] = 1;
  packet[29] = 2;
  packet[30] = 3;
  packet[31] = 4;
  packet[32] = 0x50;
  packet[33] = flags;
  return packet;
}

uint32_t sum(const Packet& packet, size_t from, size_t to, uint32_t sum) {
  for (size_t i = from; i < to; i += 2) sum += uint32_t{packet[i]} << 8 | packet[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST(LinkShaperPacket, GoesWhereItsAddressSays) {
  EXPECT_EQ(destination_host(segment(0x10)), 2);
  Packet other = segment(0x10);
  other[16] = 192;
  EXPECT_FALSE(destination_host(other).has_value());
  EXPECT_FALSE(destination_host(Packet(19, 0x45)).has_value());
  EXPECT_FALSE(destination_host(Packet(40, 0x60)).has_value());  // IPv6
}

TEST(LinkShaperPacket, AResetComesFromTheOtherEndWithTheNumberThatIsExpected) {
  auto reset = reset_for(segment(0x18));
  ASSERT_TRUE(reset.has_value());
  ASSERT_EQ(reset->size(), 40u);
  EXPECT_EQ((*reset)[15], 2);  // from
  EXPECT_EQ((*reset)[19], 1);  // to
  EXPECT_EQ((*reset)[20] << 8 | (*reset)[21], 2000);
  EXPECT_EQ((*reset)[22] << 8 | (*reset)[23], 1000);
  EXPECT_EQ(Packet(reset->begin() + 24, reset->begin() + 28), (Packet{1, 2, 3, 4}));
  EXPECT_EQ((*reset)[33], 0x04);
  EXPECT_EQ(sum(*reset, 0, 20, 0), 0xffffu);        // header
  EXPECT_EQ(sum(*reset, 12, 40, 6 + 20), 0xffffu);  // segment with its addresses
}

TEST(LinkShaperPacket, NothingElseIsReset) {
  EXPECT_FALSE(reset_for(segment(0x14)).has_value());  // a reset
  EXPECT_FALSE(reset_for(segment(0x02)).has_value());  // a first segment: nothing to acknowledge
  Packet datagram = segment(0x10);
  datagram[9] = 17;
  EXPECT_FALSE(reset_for(datagram).has_value());
  for (size_t size = 0; size < 40; ++size) {
    Packet cut = segment(0x10);
    cut.resize(size);
    EXPECT_FALSE(reset_for(cut).has_value());
  }
  Packet long_header = segment(0x10);
  long_header[0] = 0x4f;
  EXPECT_FALSE(reset_for(long_header).has_value());
}

}  // namespace
}  // namespace potluck::link_shaper
