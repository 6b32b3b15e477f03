// Invitations: how a device that nobody knows becomes a member. The coordinator makes a token with
// a secret that works once and expires; the worker proves that it has it over the join socket, and
// its key goes on the allow list. Tokens carry the coordinator's keys, so a worker cannot be lured
// elsewhere.
//
//   potluck1.<base64url of: coordinator key, signing key, secret, expiry, join endpoint, checksum>
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/base/hash.h"
#include "engine/base/random.h"
#include "protocol/keys.h"

namespace potluck {

using InvitationSecret = std::array<uint8_t, 32>;

struct Invitation {
  PeerKey coordinator;
  SigningPublicKey signing_key{};
  InvitationSecret secret{};
  int64_t expires_unix_seconds = 0;
  std::string join_endpoint;  // "tcp://HOST:PORT"

  std::string token() const;
};

// Errors say what is wrong with the token without repeating it. Only "tcp://HOST:PORT" is accepted.
Result<Invitation> parse_invitation(std::string_view token);

// The coordinator's open invitations. One thread.
class InvitationBook {
 public:
  // Remembers only a hash of the secret.
  Invitation issue(Invitation blank, int64_t expires_unix_seconds, Entropy& entropy);
  // Uses an invitation up. kRefused with the reason (unknown, used, expired); in constant time for
  // the comparison.
  Status redeem(const InvitationSecret& secret, int64_t now_unix_seconds);
  size_t open_count() const { return open_.size(); }

 private:
  std::map<Digest, int64_t> open_;  // hash of the secret -> expiry
  std::map<Digest, int64_t> used_;  // the same, until they would have expired: for the reason
};

}  // namespace potluck
