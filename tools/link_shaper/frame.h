// The little of Ethernet, IPv4 and TCP that a link shaper needs: for whom a frame is, what it takes
// on a wire, and how a connection is reset. Plain functions over bytes; nothing is trusted but
// their length.
//
// A frame is what a TAP device reads and writes: kOffloadBytes that say which work the sender's
// kernel has left to the device (virtio_net_hdr of the kernel; zeros for none), then the Ethernet
// header. With such work left, one frame may stand for many segments of a TCP connection.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace potluck::link_shaper {

using Frame = std::vector<uint8_t>;

constexpr size_t kOffloadBytes = 10;
constexpr size_t kLongestFrame = kOffloadBytes + 14 + 65536;
// Hosts are numbered from 0. More than any test needs; the number is a byte of an IPv4 address.
constexpr size_t kMostHosts = 250;

using EthernetAddress = std::array<uint8_t, 6>;
// What the device of a host gets: locally administered, with the host's number in it.
EthernetAddress address_of_host(size_t host);

struct Destination {
  bool everyone = false;  // broadcast or multicast
  size_t host = 0;        // if not
};
// Nothing if the frame is cut off, or for no host's address.
std::optional<Destination> destination_of(std::span<const uint8_t> frame);

// Bytes on the wire, the repeated headers of segments included.
size_t wire_bytes(std::span<const uint8_t> frame);

// One end of a TCP connection over IPv4: addresses and ports, its own first.
struct ConnectionEnd {
  std::array<uint8_t, 12> name{};
  auto operator<=>(const ConnectionEnd&) const = default;
};
// The end that sent the frame; nothing for other frames.
std::optional<ConnectionEnd> sender_of(std::span<const uint8_t> frame);

// A frame that resets the connection at the end that sent this one; nothing for what is no TCP over
// IPv4, and for resets themselves.
std::optional<Frame> reset_for(std::span<const uint8_t> frame);

// As much of a frame as the two functions above look at.
std::span<const uint8_t> headers_of(std::span<const uint8_t> frame);

}  // namespace potluck::link_shaper
