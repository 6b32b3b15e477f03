// The little of IPv4 and TCP that a link shaper needs: where a packet goes, and how a connection is
// reset. Plain functions over bytes of a packet; nothing is trusted but its length.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace potluck::link_shaper {

using Packet = std::vector<uint8_t>;

// The last byte of the destination if the packet is IPv4 and for 10.88.0.0/24.
std::optional<uint8_t> destination_host(std::span<const uint8_t> packet);

// A segment that resets the connection at the end that sent `packet`; nothing for other packets and
// for resets themselves.
std::optional<Packet> reset_for(std::span<const uint8_t> packet);

}  // namespace potluck::link_shaper
