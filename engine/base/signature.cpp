#include "engine/base/signature.h"

#include <memory>

#include <openssl/evp.h>

#include "engine/base/check.h"

namespace potluck {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeKey>;
using ContextHandle = std::unique_ptr<EVP_MD_CTX, FreeContext>;

const unsigned char* raw(ByteSpan bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

KeyHandle load_secret(const SigningKey::Secret& secret) {
  KeyHandle key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size()));
  CHECK(key != nullptr);  // any 32 bytes are a secret
  return key;
}

ContextHandle make_context() {
  ContextHandle context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  return context;
}

}  // namespace

SigningKey SigningKey::generate(Entropy& entropy) {
  Secret secret;
  entropy.fill(std::as_writable_bytes(std::span(secret)));
  return SigningKey(secret);
}

SigningKey::SigningKey(const Secret& secret) : secret_(secret) {
  size_t length = public_key_.size();
  KeyHandle key = load_secret(secret_);
  CHECK(EVP_PKEY_get_raw_public_key(key.get(), public_key_.data(), &length) == 1);
  CHECK(length == public_key_.size());
}

Signature SigningKey::sign(ByteSpan message) const {
  KeyHandle key = load_secret(secret_);
  ContextHandle context = make_context();
  // Ed25519 names its own hash and needs the whole message twice (RFC 8032, 5.1.6): no digest is
  // given, and signing is one call.
  CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  Signature signature;
  size_t length = signature.size();
  CHECK(EVP_DigestSign(context.get(), signature.data(), &length, raw(message), message.size()) ==
        1);
  CHECK(length == signature.size());
  return signature;
}

bool verify_signature(const SigningPublicKey& key, ByteSpan message, const Signature& signature) {
  // Any 32 bytes are taken for a key here; those that are no point of the curve fail in
  // EVP_DigestVerify.
  KeyHandle handle(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  if (handle == nullptr) return false;
  ContextHandle context = make_context();
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) != 1) {
    return false;
  }
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), raw(message),
                          message.size()) == 1;
}

}  // namespace potluck
