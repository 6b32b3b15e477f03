#include "tests/support/link_shaper/packet.h"

#include <algorithm>

namespace potluck::link_shaper {
namespace {

constexpr size_t kIpBytes = 20;
constexpr size_t kTcpBytes = 20;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kFlagReset = 0x04;
constexpr uint8_t kFlagAck = 0x10;

void store16(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 8);
  to[1] = static_cast<uint8_t>(value);
}

// The ones' complement sum of RFC 1071.
uint32_t sum16(std::span<const uint8_t> bytes, uint32_t sum) {
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += uint32_t{bytes[i]} << 8 | bytes[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

}  // namespace

std::optional<uint8_t> destination_host(std::span<const uint8_t> packet) {
  bool ours = packet.size() >= kIpBytes && packet[0] >> 4 == 4 && packet[16] == 10 &&
              packet[17] == 88 && packet[18] == 0;
  if (!ours) return std::nullopt;
  return packet[19];
}

std::optional<Packet> reset_for(std::span<const uint8_t> packet) {
  if (packet.size() < kIpBytes || packet[9] != kTcp) return std::nullopt;
  size_t header = size_t{packet[0] & 0x0fu} * 4;
  if (header < kIpBytes || packet.size() < header + kTcpBytes) return std::nullopt;
  std::span<const uint8_t> segment = packet.subspan(header);
  bool resettable = (segment[13] & kFlagReset) == 0 && (segment[13] & kFlagAck) != 0;
  if (!resettable) return std::nullopt;
  Packet reset(kIpBytes + kTcpBytes, 0);
  uint8_t* ip = reset.data();
  ip[0] = 0x45;
  store16(ip + 2, static_cast<uint32_t>(reset.size()));
  ip[8] = 64;  // time to live
  ip[9] = kTcp;
  std::copy_n(packet.begin() + 16, 4, ip + 12);  // from the other end
  std::copy_n(packet.begin() + 12, 4, ip + 16);
  store16(ip + 10, ~sum16(std::span(reset).first(kIpBytes), 0));
  uint8_t* tcp = ip + kIpBytes;
  std::copy_n(segment.begin() + 2, 2, tcp);
  std::copy_n(segment.begin(), 2, tcp + 2);
  std::copy_n(segment.begin() + 8, 4, tcp + 4);  // what it acknowledged is what it expects next
  tcp[12] = (kTcpBytes / 4) << 4;
  tcp[13] = kFlagReset;
  uint32_t pseudo = sum16(std::span(reset).subspan(12, 8), kTcp + kTcpBytes);
  store16(tcp + 16, ~sum16(std::span(reset).subspan(kIpBytes), pseudo));
  return reset;
}

}  // namespace potluck::link_shaper
