#include "protocol/pairing_code.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

PairNonce nonce_of(uint8_t first) {
  PairNonce nonce{};
  nonce[0] = first;
  return nonce;
}

const PairKeys kKeys{numbered_key(1), numbered_key(2)};

// What two devices of different versions compare: committed values.
TEST(PairingCode, IsTheSameInEveryBuild) {
  EXPECT_EQ(pairing_commitment(kKeys, nonce_of(3)).hex(),
            "e5468cce6e9f69c984e541f8200f9aec8e8cb9021a7fd24479d0bbd66d1375fb");
  EXPECT_EQ(pairing_code(kKeys, nonce_of(3), nonce_of(4)), "5197-5495");
}

TEST(PairingCode, DependsOnEverything) {
  std::set<std::string> codes;
  for (const PairKeys& keys :
       {kKeys, PairKeys{kKeys.coordinator, kKeys.worker},
        PairKeys{numbered_key(3), numbered_key(2)}, PairKeys{numbered_key(1), numbered_key(3)}}) {
    for (uint8_t ours : std::initializer_list<uint8_t>{0, 1}) {
      for (uint8_t theirs : std::initializer_list<uint8_t>{0, 1}) {
        codes.insert(pairing_code(keys, nonce_of(ours), nonce_of(theirs)));
      }
    }
  }
  EXPECT_EQ(codes.size(), 16u);
  EXPECT_NE(pairing_commitment(kKeys, nonce_of(1)), pairing_commitment(kKeys, nonce_of(2)));
  EXPECT_NE(pairing_commitment(kKeys, nonce_of(1)),
            pairing_commitment({numbered_key(1), numbered_key(3)}, nonce_of(1)));
}

TEST(PairingCode, DigitsAreEvenlySpread) {
  std::array<int, 10> counts{};
  for (int i = 0; i < 1000; ++i) {
    PairNonce nonce{};
    nonce[0] = static_cast<uint8_t>(i);
    nonce[1] = static_cast<uint8_t>(i >> 8);
    std::string code = pairing_code(kKeys, nonce, {});
    ASSERT_EQ(code.size(), 9u);
    EXPECT_EQ(code[4], '-');
    for (char c : code) {
      if (c != '-') ++counts[static_cast<size_t>(c - '0')];
    }
  }
  for (int count : counts) EXPECT_NEAR(count, 800, 120);
}

TEST(PairingCode, IsReadAsPeopleTypeIt) {
  for (const char* typed : {"1234-5678", "12345678", "1234 5678", " 1234 - 5678 ", "12 34 56 78"}) {
    EXPECT_EQ(read_pairing_code(typed), "1234-5678") << typed;
  }
  for (const char* typed : {"", "1234-567", "1234-56789", "1234_5678", "abcd-efgh", "1234-5678x",
                            "-", "the 1234 5678"}) {
    EXPECT_FALSE(read_pairing_code(typed)) << typed;
  }
  EXPECT_FALSE(read_pairing_code(std::string(1000, ' ') + "12345678"));
}

}  // namespace
}  // namespace potluck::test
