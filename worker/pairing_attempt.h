// PairingAttempt: the worker's side of pairing (protocol/pairing_code.h): commits itself, takes one
// challenge, reveals, and knows the code that people compare. One attempt: a coordinator that sends
// another challenge afterwards wants to choose among codes. Plain value; one thread.
#pragma once

#include <optional>
#include <string>

#include "protocol/message.h"

namespace potluck {

class PairingAttempt {
 public:
  PairingAttempt(const PairKeys& keys, const PairNonce& nonce) : keys_(keys), nonce_(nonce) {}

  // What the coordinator is to be told, again and again until it answers.
  Message message(const std::string& name) const;
  // False if it is not the one that was taken before.
  bool on_challenge(const PairChallenge& challenge);
  // After the challenge: "1234-5678".
  std::string code() const { return code_; }
  const std::string& coordinator_name() const { return name_; }
  bool challenged() const { return challenge_.has_value(); }

 private:
  PairKeys keys_;
  PairNonce nonce_;
  std::optional<PairNonce> challenge_;
  std::string code_;
  std::string name_;
};

}  // namespace potluck
