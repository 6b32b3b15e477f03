#include "tools/link_shaper/frame.h"

#include <algorithm>
#include <cstring>

namespace potluck::link_shaper {
namespace {

constexpr size_t kEthernetBytes = 14;
constexpr size_t kIpBytes = 20;
constexpr size_t kTcpBytes = 20;
constexpr size_t kLongestHeaders = kOffloadBytes + kEthernetBytes + 60 + 60;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kFlagReset = 0x04;
constexpr uint8_t kFlagAck = 0x10;
constexpr EthernetAddress kFirstHost = {0x02, 'p', 'l', 0, 0, 1};

// Of the offload header; in the byte order of this machine.
constexpr size_t kOffloadKind = 1;
constexpr size_t kOffloadSegment = 4;
constexpr size_t kOffloadTransport = 6;  // where the transport header begins, behind Ethernet's

uint16_t own_order16(const uint8_t* from) {
  uint16_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

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

struct TcpPacket {
  std::span<const uint8_t> ip;  // from its header on
  std::span<const uint8_t> tcp;
};

std::optional<TcpPacket> tcp_in(std::span<const uint8_t> frame) {
  constexpr size_t kIpAt = kOffloadBytes + kEthernetBytes;
  if (frame.size() < kIpAt + kIpBytes) return std::nullopt;
  bool ipv4 = frame[kIpAt - 2] == 0x08 && frame[kIpAt - 1] == 0x00;
  std::span<const uint8_t> ip = frame.subspan(kIpAt);
  if (!ipv4 || ip[0] >> 4 != 4 || ip[9] != kTcp) return std::nullopt;
  size_t header = size_t{ip[0] & 0x0fu} * 4;
  if (header < kIpBytes || ip.size() < header + kTcpBytes) return std::nullopt;
  return TcpPacket{ip, ip.subspan(header)};
}

}  // namespace

EthernetAddress address_of_host(size_t host) {
  EthernetAddress address = kFirstHost;
  address.back() = static_cast<uint8_t>(kFirstHost.back() + host);
  return address;
}

std::optional<Destination> destination_of(std::span<const uint8_t> frame) {
  if (frame.size() < kOffloadBytes + kEthernetBytes) return std::nullopt;
  std::span<const uint8_t> address = frame.subspan(kOffloadBytes, 6);
  if ((address[0] & 1) != 0) return Destination{true, 0};
  bool ours = std::equal(kFirstHost.begin(), kFirstHost.end() - 1, address.begin());
  if (!ours || address[5] < 1 || address[5] > kMostHosts) return std::nullopt;
  return Destination{false, address[5] - 1u};
}

size_t wire_bytes(std::span<const uint8_t> frame) {
  if (frame.size() <= kOffloadBytes) return 0;
  size_t bytes = frame.size() - kOffloadBytes;
  size_t segment = own_order16(&frame[kOffloadSegment]);
  if (frame[kOffloadKind] == 0 || segment == 0) return bytes;
  size_t transport = own_order16(&frame[kOffloadTransport]);
  if (bytes < transport + kTcpBytes) return bytes;
  size_t headers = transport + size_t{frame[kOffloadBytes + transport + 12]} / 16 * 4;
  if (bytes <= headers) return bytes;
  size_t segments = (bytes - headers + segment - 1) / segment;
  return bytes + (segments - 1) * headers;
}

std::optional<ConnectionEnd> sender_of(std::span<const uint8_t> frame) {
  auto packet = tcp_in(frame);
  if (!packet) return std::nullopt;
  ConnectionEnd end;
  std::copy_n(packet->ip.begin() + 12, 8, end.name.begin());
  std::copy_n(packet->tcp.begin(), 4, end.name.begin() + 8);
  return end;
}

std::optional<Frame> reset_for(std::span<const uint8_t> frame) {
  auto packet = tcp_in(frame);
  if (!packet) return std::nullopt;
  std::span<const uint8_t> segment = packet->tcp;
  bool resettable = (segment[13] & kFlagReset) == 0 && (segment[13] & kFlagAck) != 0;
  if (!resettable) return std::nullopt;
  Frame reset(kOffloadBytes + kEthernetBytes + kIpBytes + kTcpBytes, 0);
  uint8_t* ethernet = reset.data() + kOffloadBytes;
  std::copy_n(frame.begin() + kOffloadBytes + 6, 6, ethernet);  // back to the sender
  std::copy_n(frame.begin() + kOffloadBytes, 6, ethernet + 6);
  store16(ethernet + 12, 0x0800);
  uint8_t* ip = ethernet + kEthernetBytes;
  ip[0] = 0x45;
  store16(ip + 2, kIpBytes + kTcpBytes);
  ip[8] = 64;  // time to live
  ip[9] = kTcp;
  std::copy_n(packet->ip.begin() + 16, 4, ip + 12);  // from the other end
  std::copy_n(packet->ip.begin() + 12, 4, ip + 16);
  store16(ip + 10, ~sum16({ip, kIpBytes}, 0));
  uint8_t* tcp = ip + kIpBytes;
  std::copy_n(segment.begin() + 2, 2, tcp);
  std::copy_n(segment.begin(), 2, tcp + 2);
  std::copy_n(segment.begin() + 8, 4, tcp + 4);  // what it acknowledged is what it expects next
  tcp[12] = (kTcpBytes / 4) << 4;
  tcp[13] = kFlagReset;
  uint32_t pseudo = sum16({ip + 12, 8}, kTcp + kTcpBytes);
  store16(tcp + 16, ~sum16({tcp, kTcpBytes}, pseudo));
  return reset;
}

std::span<const uint8_t> headers_of(std::span<const uint8_t> frame) {
  return frame.first(std::min(frame.size(), kLongestHeaders));
}

}  // namespace potluck::link_shaper
