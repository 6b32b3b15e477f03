// Invitations: how an unknown device becomes a member. The coordinator makes a token with
// a secret that works once and expires; the worker proves that it has it over the join socket, and
// its key goes on the allow list. Tokens carry the coordinator's key, so a worker cannot be lured
// elsewhere, and all addresses by which it may be reached.
//
//   potluck2.<base64url of: coordinator key, seed of the secret, addresses, checksum>
//   potluck1.<base64url of: coordinator key, signing key, secret, expiry, join endpoint, checksum>
//
// The second form is that of earlier versions: it is read, and not made any more.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/random.h"
#include "protocol/keys.h"

namespace potluck {

// What the worker says to the coordinator.
using InvitationSecret = std::array<uint8_t, 32>;
// What the secret is made from, short enough to be pasted: 80 bits. It can only be tried at the
// coordinator, some hundred times a second at most and within a day: 2^-54 of a hit in all.
using InvitationSeed = std::array<uint8_t, 10>;

InvitationSecret invitation_secret(const InvitationSeed& seed);

struct Invitation {
  // More addresses than a device has, those outside a NAT included.
  static constexpr size_t kMostEndpoints = 8;

  PeerKey coordinator;
  SigningPublicKey signing_key{};  // zeros: the coordinator says it when the device is admitted
  InvitationSeed seed{};           // of new ones; zeros in those of earlier versions
  InvitationSecret secret{};
  std::vector<std::string> endpoints{};  // "tcp://HOST:PORT", the most likely first; never empty

  // Without the signing key. Endpoints for which there is no room are left out, from the end.
  std::string token() const;
};

// A token as people paste it: with blanks or line breaks around or within it, in quotes, with the
// command in front ("potluck join potluck1..."), with words behind it. Errors say what is wrong
// without repeating the token. Only "tcp://HOST:PORT" is accepted as an endpoint.
Result<Invitation> parse_invitation(std::string_view pasted);

// The coordinator's open invitations. One thread.
class InvitationBook {
 public:
  // Gives the blank a fresh secret, of which only a hash is remembered.
  Invitation issue(Invitation blank, int64_t expires_unix_seconds, Entropy& entropy);
  // Lets `admit` do what an invitation is good for, and uses it up if that succeeded: else the
  // error is that of `admit`, and the invitation can be tried again. kRefused with the reason
  // (unknown, used, expired) if it is not good; in constant time for the comparison.
  Status redeem(
      const InvitationSecret& secret, int64_t now_unix_seconds,
      const std::function<Status()>& admit = [] { return Status(); });
  // Invitations that can still be redeemed.
  size_t open_count(int64_t now_unix_seconds) const;

 private:
  std::map<Digest, int64_t> open_;  // hash of the secret -> expiry
  std::map<Digest, int64_t> used_;  // the same, until they would have expired: for the reason
};

}  // namespace potluck
