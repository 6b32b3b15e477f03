#include "tools/link_shaper/frame.h"

#include <cstring>

#include <gtest/gtest.h>

namespace potluck::link_shaper {
namespace {

constexpr size_t kIp = kOffloadBytes + 14;

// A segment from 10.88.0.1, port 1000, to 10.88.0.2, port 2000, that acknowledges 0x01020304.
Frame segment(uint8_t flags) {
  Frame frame(kIp + 40, 0);
  EthernetAddress to = address_of_host(1), from = address_of_host(0);
  std::copy(to.begin(), to.end(), frame.begin() + kOffloadBytes);
  std::copy(from.begin(), from.end(), frame.begin() + kOffloadBytes + 6);
  frame[kIp - 2] = 0x08;
  uint8_t* packet = &frame[kIp];
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
  return frame;
}

uint32_t sum(std::span<const uint8_t> packet, size_t from, size_t to, uint32_t sum) {
  for (size_t i = from; i < to; i += 2) sum += uint32_t{packet[i]} << 8 | packet[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST(LinkShaperFrame, GoesWhereItsAddressSays) {
  auto destination = destination_of(segment(0x10));
  ASSERT_TRUE(destination.has_value());
  EXPECT_FALSE(destination->everyone);
  EXPECT_EQ(destination->host, 1u);
  Frame last = segment(0x10);
  EthernetAddress address = address_of_host(kMostHosts - 1);
  std::copy(address.begin(), address.end(), last.begin() + kOffloadBytes);
  EXPECT_EQ(destination_of(last)->host, kMostHosts - 1);
}

TEST(LinkShaperFrame, GoesToEveryoneOrToNobody) {
  Frame frame = segment(0x10);
  std::fill_n(frame.begin() + kOffloadBytes, 6, 0xff);
  EXPECT_TRUE(destination_of(frame)->everyone);
  EthernetAddress multicast = {0x01, 0x00, 0x5e, 0, 0, 1};
  std::copy(multicast.begin(), multicast.end(), frame.begin() + kOffloadBytes);
  EXPECT_TRUE(destination_of(frame)->everyone);
  frame = segment(0x10);
  frame[kOffloadBytes + 5] = 0;
  EXPECT_FALSE(destination_of(frame).has_value());
  frame = segment(0x10);
  frame[kOffloadBytes + 1] = 'x';
  EXPECT_FALSE(destination_of(frame).has_value());
  EXPECT_FALSE(destination_of(Frame(kIp - 1, 0xff)).has_value());
}

TEST(LinkShaperFrame, ManySegmentsAtOnceRepeatTheirHeadersOnTheWire) {
  Frame frame = segment(0x10);
  EXPECT_EQ(wire_bytes(frame), 54u);
  frame.resize(kIp + 40 + 4000);
  EXPECT_EQ(wire_bytes(frame), 4054u);
  frame[1] = 1;  // TCP over IPv4, in segments of 1460 bytes
  uint16_t segment_bytes = 1460, transport = 34;
  std::memcpy(&frame[4], &segment_bytes, 2);
  std::memcpy(&frame[6], &transport, 2);
  EXPECT_EQ(wire_bytes(frame), 3 * 54u + 4000u);
  transport = 65535;  // behind the end
  std::memcpy(&frame[6], &transport, 2);
  EXPECT_EQ(wire_bytes(frame), 4054u);
  EXPECT_EQ(wire_bytes(Frame(3)), 0u);
}

TEST(LinkShaperFrame, AResetComesFromTheOtherEndWithTheNumberThatIsExpected) {
  auto reset = reset_for(segment(0x18));
  ASSERT_TRUE(reset.has_value());
  ASSERT_EQ(reset->size(), kIp + 40);
  EXPECT_EQ(destination_of(*reset)->host, 0u);
  std::span<const uint8_t> packet = std::span(*reset).subspan(kIp);
  EXPECT_EQ(packet[15], 2);  // from
  EXPECT_EQ(packet[19], 1);  // to
  EXPECT_EQ(packet[20] << 8 | packet[21], 2000);
  EXPECT_EQ(packet[22] << 8 | packet[23], 1000);
  EXPECT_EQ(Frame(packet.begin() + 24, packet.begin() + 28), (Frame{1, 2, 3, 4}));
  EXPECT_EQ(packet[33], 0x04);
  EXPECT_EQ(sum(packet, 0, 20, 0), 0xffffu);        // header
  EXPECT_EQ(sum(packet, 12, 40, 6 + 20), 0xffffu);  // segment with its addresses
}

TEST(LinkShaperFrame, NothingElseIsReset) {
  EXPECT_FALSE(reset_for(segment(0x14)).has_value());  // a reset
  EXPECT_FALSE(reset_for(segment(0x02)).has_value());  // a first segment: nothing to acknowledge
  Frame datagram = segment(0x10);
  datagram[kIp + 9] = 17;
  EXPECT_FALSE(reset_for(datagram).has_value());
  Frame other = segment(0x10);
  other[kIp - 1] = 0x06;  // no IPv4
  EXPECT_FALSE(reset_for(other).has_value());
  for (size_t size = 0; size < kIp + 40; ++size) {
    Frame cut = segment(0x10);
    cut.resize(size);
    EXPECT_FALSE(reset_for(cut).has_value());
    EXPECT_FALSE(sender_of(cut).has_value());
  }
  Frame long_header = segment(0x10);
  long_header[kIp] = 0x4f;
  EXPECT_FALSE(reset_for(long_header).has_value());
}

TEST(LinkShaperFrame, TheEndsOfAConnectionAreToldApart) {
  Frame there = segment(0x10), back = segment(0x10);
  std::swap_ranges(back.begin() + kIp + 12, back.begin() + kIp + 16, back.begin() + kIp + 16);
  std::swap_ranges(back.begin() + kIp + 20, back.begin() + kIp + 22, back.begin() + kIp + 22);
  EXPECT_EQ(sender_of(there), sender_of(segment(0x18)));
  EXPECT_NE(sender_of(there), sender_of(back));
  EXPECT_EQ(headers_of(Frame(9000)).size(), kOffloadBytes + 14u + 60u + 60u);
  EXPECT_EQ(sender_of(headers_of(there)), sender_of(there));
}

}  // namespace
}  // namespace potluck::link_shaper
