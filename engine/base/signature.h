// Ed25519 signatures (RFC 8032, through OpenSSL): how a pool vouches for its manifest. Keys are
// plain values; a secret key is never logged or sent.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/random.h"
#include "engine/base/result.h"

namespace potluck {

using SigningPublicKey = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;

class SigningKey {
 public:
  using Secret = std::array<uint8_t, 32>;  // the RFC's 32-byte seed

  static SigningKey generate(Entropy& entropy);
  explicit SigningKey(const Secret& secret);

  const Secret& secret() const { return secret_; }
  const SigningPublicKey& public_key() const { return public_key_; }
  Signature sign(ByteSpan message) const;

 private:
  Secret secret_;
  SigningPublicKey public_key_;
};

bool verify_signature(const SigningPublicKey& key, ByteSpan message, const Signature& signature);

}  // namespace potluck
