#include "engine/base/signature.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

template <size_t kSize>
std::array<uint8_t, kSize> from_hex(std::string_view hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::array<uint8_t, kSize> out{};
  EXPECT_EQ(hex.size(), 2 * kSize);
  for (size_t i = 0; i < kSize; ++i) {
    out[i] = static_cast<uint8_t>(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
  }
  return out;
}

// RFC 8032, section 7.1.
struct SignatureVector {
  std::string_view secret;
  std::string_view public_key;
  std::string_view message;  // raw bytes
  std::string_view signature;
};
constexpr SignatureVector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "\x72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "\xaf\x82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6"
     "594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(Signature, MatchesTheStandardsVectors) {
  for (const SignatureVector& vector : kVectors) {
    SigningKey key(from_hex<32>(vector.secret));
    EXPECT_EQ(key.public_key(), from_hex<32>(vector.public_key));
    Signature signature = key.sign(as_bytes(vector.message));
    EXPECT_EQ(signature, from_hex<64>(vector.signature));
    EXPECT_TRUE(verify_signature(key.public_key(), as_bytes(vector.message), signature));
  }
}

TEST(Signature, RefusesAnyChange) {
  SeededEntropy entropy(7);
  SigningKey key = SigningKey::generate(entropy);
  SigningKey other = SigningKey::generate(entropy);
  EXPECT_NE(key.public_key(), other.public_key());
  std::string message = "who computes what";
  Signature signature = key.sign(as_bytes(message));
  EXPECT_TRUE(verify_signature(key.public_key(), as_bytes(message), signature));
  EXPECT_FALSE(verify_signature(other.public_key(), as_bytes(message), signature));
  for (size_t i = 0; i < message.size(); ++i) {
    std::string changed = message;
    changed[i] ^= 1;
    EXPECT_FALSE(verify_signature(key.public_key(), as_bytes(changed), signature));
  }
  for (size_t i = 0; i < signature.size(); ++i) {
    Signature changed = signature;
    changed[i] ^= 0x10;
    EXPECT_FALSE(verify_signature(key.public_key(), as_bytes(message), changed));
  }
  EXPECT_FALSE(verify_signature(SigningPublicKey{}, as_bytes(message), Signature{}));
}

TEST(Signature, SameSecretSameKey) {
  SeededEntropy entropy(8);
  SigningKey key = SigningKey::generate(entropy);
  SigningKey again(key.secret());
  EXPECT_EQ(key.public_key(), again.public_key());
  EXPECT_EQ(key.sign(as_bytes("x")), again.sign(as_bytes("x")));
}

}  // namespace
}  // namespace potluck
