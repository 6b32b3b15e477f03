// Invitations: how an unknown device becomes a member. The coordinator makes a token with
// a secret that works once and expires; the worker proves that it has it over the join socket, and
// its key goes on the allow list. Tokens carry the coordinator's keys, so a worker cannot be lured
// elsewhere.
//
//   potluck1.<base64url of: coordinator key, signing key, secret, expiry, join endpoint, checksum>
#pragma once

#include <cstdint>
#include <functional>
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

// A token as people paste it: with blanks or line breaks around or within it, in quotes, with the
// command in front ("potluck join potluck1..."), with words behind it. Errors say what is wrong
// without repeating the token. Only "tcp://HOST:PORT" is accepted as the endpoint.
Result<Invitation> parse_invitation(std::string_view pasted);

// The coordinator's open invitations. One thread.
class InvitationBook {
 public:
  // Remembers only a hash of the secret.
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
