// The code by which two people, or one with two devices, tell that no one is between a worker
// and a coordinator that met on the network. Numeric comparison as in Bluetooth and ZRTP: the
// worker commits itself to its nonce before it knows the coordinator's, and both derive the code
// from both keys and both nonces. An attacker between them has a key of its own on either side,
// and has to choose its nonces before it knows what code they lead to: the two codes are equal with
// a chance of one in kPairingCodes, once for each pairing. Pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/hash.h"
#include "protocol/keys.h"

namespace potluck {

using PairNonce = std::array<uint8_t, 32>;

// Eight digits. Six would do for a single attempt; a coordinator lets strangers make some hundred
// attempts while a person walks from one device to the other (coordinator/cluster/pairing_desk.h).
inline constexpr uint32_t kPairingCodes = 100'000'000;

struct PairKeys {
  PeerKey worker;
  PeerKey coordinator;
};

// What the worker sends first: shows nothing of the nonce, and fits no other one.
Digest pairing_commitment(const PairKeys& keys, const PairNonce& worker_nonce);

// "1234-5678", the same on both sides if they have the same keys and nonces.
std::string pairing_code(const PairKeys& keys, const PairNonce& worker_nonce,
                         const PairNonce& coordinator_nonce);

// A code as people type it, with a dash, blanks or nothing between the digits, in the form above.
// Nothing if it is not one.
std::optional<std::string> read_pairing_code(std::string_view typed);

}  // namespace potluck
