#include "worker/pairing_attempt.h"

#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kShownName = 64;

}  // namespace

Message PairingAttempt::message(const std::string& name) const {
  if (challenge_) return PairReveal{nonce_};
  return PairRequest{pairing_commitment(keys_, nonce_), name};
}

bool PairingAttempt::on_challenge(const PairChallenge& challenge) {
  if (challenge_) return *challenge_ == challenge.nonce;
  challenge_ = challenge.nonce;
  code_ = pairing_code(keys_, nonce_, challenge.nonce);
  name_ = clean_text(challenge.name, kShownName);
  return true;
}

}  // namespace potluck
