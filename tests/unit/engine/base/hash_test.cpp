#include "engine/base/hash.h"

#include <unordered_set>

#include <gtest/gtest.h>

namespace potluck {
namespace {

struct HashVector {
  std::string message;
  std::string digest;
};

// FIPS 180-4's examples and its test of a million letters.
std::vector<HashVector> known_vectors() {
  return {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
}

TEST(Sha256, AgreesWithTheStandardsVectors) {
  for (const HashVector& vector : known_vectors()) {
    EXPECT_EQ(sha256(as_bytes(vector.message)).hex(), vector.digest);
  }
}

TEST(Sha256, DoesNotDependOnHowTheDataArriveInPieces) {
  std::string message;
  for (int i = 0; i < 300; ++i) message += static_cast<char>('a' + i % 26);
  Digest whole = sha256(as_bytes(message));
  for (size_t cut : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, message.size()}) {
    Sha256Stream stream;
    stream.update(as_bytes(std::string_view(message).substr(0, cut)));
    stream.update(as_bytes(std::string_view(message).substr(cut)));
    EXPECT_EQ(stream.finish(), whole) << "cut at " << cut;
  }
}

TEST(Digest, IsReadFromEitherCase) {
  Digest digest = sha256(as_bytes("abc"));
  std::string hex = digest.hex();
  auto lower = parse_digest(hex);
  ASSERT_TRUE(lower.ok());
  EXPECT_EQ(*lower, digest);
  for (char& c : hex) c = static_cast<char>(std::toupper(c));
  auto upper = parse_digest(hex);
  ASSERT_TRUE(upper.ok());
  EXPECT_EQ(*upper, digest);
}

TEST(Digest, RefusesWrongLengthsAndDigits) {
  std::string hex = sha256({}).hex();
  EXPECT_FALSE(parse_digest("").ok());
  EXPECT_FALSE(parse_digest(hex.substr(1)).ok());
  EXPECT_FALSE(parse_digest(hex + "0").ok());
  for (char bad : {'g', '/', ':', '@', '`', ' ', '\0'}) {
    std::string broken = hex;
    broken[63] = bad;
    EXPECT_FALSE(parse_digest(broken).ok()) << "digit " << static_cast<int>(bad);
  }
}

TEST(Digest, OrdersAndHashes) {
  Digest a = sha256(as_bytes("a"));
  Digest b = sha256(as_bytes("b"));
  EXPECT_NE(a, b);
  EXPECT_EQ(a < b, a.hex() < b.hex());
  std::unordered_set<Digest> set{a, b, a};
  EXPECT_EQ(set.size(), 2u);
}

}  // namespace
}  // namespace potluck
