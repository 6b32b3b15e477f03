// The beacon: how a worker without an invitation learns which coordinators its networks have. It
// asks everyone, by multicast and broadcast, and coordinators answer to where the question came
// from. Nobody sends anything while nobody asks, and a phone, whose radio drops what is sent to
// everyone, hears the answer, which is for it alone.
//
// Nothing in these datagrams is trusted: they only say where to knock. An answer is never longer
// than the question, so a forged question makes no more traffic than it took. All numbers are
// little-endian; a datagram of another version or length is refused. Plain values; any thread.
//
//   question  "PotluckB" | version u8 = 1 | kind u8 = 0 | nonce u64 | zeros up to 128 bytes
//   answer    "PotluckB" | version u8 = 1 | kind u8 = 1 | nonce u64 | key, 32 bytes
//             | port of the join channel u16 | length of the name u8 | name
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "protocol/keys.h"

namespace potluck {

inline constexpr uint16_t kBeaconPort = 7700;        // UDP
inline constexpr size_t kBeaconQuestionBytes = 128;  // no answer is longer
inline constexpr size_t kBeaconNameBytes = 64;

struct BeaconQuestion {
  uint64_t nonce = 0;  // an answer repeats it

  bool operator==(const BeaconQuestion&) const = default;
};

struct BeaconAnswer {
  uint64_t nonce = 0;
  PeerKey coordinator;
  uint16_t join_port = 0;  // not 0
  std::string name;        // for people: printable, at most kBeaconNameBytes

  bool operator==(const BeaconAnswer&) const = default;
};

using BeaconMessage = std::variant<BeaconQuestion, BeaconAnswer>;

ByteVector encode_beacon(const BeaconMessage& message);
Result<BeaconMessage> decode_beacon(ByteSpan datagram);

}  // namespace potluck
