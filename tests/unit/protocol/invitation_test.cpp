#include "protocol/invitation.h"

#include <gtest/gtest.h>

#include "protocol/base64url.h"

namespace potluck {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// What sample() was in an earlier version: with a signing key, a long secret, an expiry and one
// endpoint.
constexpr std::string_view kEarlierToken =
    "potluck1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9kZWZnaGlqa2xtbm9wcXJzdHV2d3h"
    "5ent8fX5_gIGCg8jJysvMzc7P0NHS09TV1tfY2drb3N3e3-Dh4uPk5ebnANJJawAAAAB0Y3A6Ly9raXR"
    "jaGVuLmxhbjo3MTAwbUxtIg";

Invitation sample() {
  Invitation invitation;
  for (uint8_t i = 0; i < 32; ++i) invitation.coordinator.bytes[i] = i;
  for (uint8_t i = 0; i < 10; ++i) invitation.seed[i] = static_cast<uint8_t>(200 + i);
  invitation.secret = invitation_secret(invitation.seed);
  invitation.endpoints = {"tcp://kitchen.lan:7100"};
  return invitation;
}

// A whole token around any bytes.
std::string token_of(ByteSpan body) {
  Sha256Stream stream;
  stream.update(as_bytes("potluck2."));
  stream.update(body);
  Digest digest = stream.finish();
  ByteVector bytes(body.begin(), body.end());
  for (size_t i = 0; i < 3; ++i) bytes.push_back(std::byte{digest.bytes[i]});
  return "potluck2." + encode_base64url(bytes);
}

// Key and seed, and then these bytes as addresses.
std::string with_addresses(std::initializer_list<int> bytes, std::string_view text = {}) {
  ByteVector body(42);
  for (int byte : bytes) body.push_back(static_cast<std::byte>(byte));
  for (std::byte byte : as_bytes(text)) body.push_back(byte);
  return token_of(body);
}

using Endpoints = std::vector<std::string>;

TEST(Invitation, TokensComeBackAsTheyWere) {
  for (const Endpoints& endpoints :
       {Endpoints{"tcp://a:1"}, Endpoints{"tcp://192.168.1.20:65535"},
        Endpoints{"tcp://[fe80::1%eth0]:80"}, Endpoints{"tcp://some-long.name.example.org:7100"},
        Endpoints{"tcp://192.168.1.20:7700", "tcp://[2001:db8::1]:7700", "tcp://10.0.0.1:7700"},
        Endpoints{"tcp://a:1", "tcp://b:1", "tcp://1.2.3.4:2", "tcp://[::1]:7700"}}) {
    Invitation invitation = sample();
    invitation.endpoints = endpoints;
    std::string token = invitation.token();
    EXPECT_TRUE(token.starts_with("potluck2."));
    EXPECT_EQ(token.find_first_not_of(kAlphabet, 9), std::string::npos) << "can be pasted anywhere";
    auto parsed = parse_invitation(token);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->coordinator, invitation.coordinator);
    EXPECT_EQ(parsed->signing_key, SigningPublicKey{}) << "the coordinator says it";
    EXPECT_EQ(parsed->seed, invitation.seed);
    EXPECT_EQ(parsed->secret, invitation.secret);
    EXPECT_EQ(parsed->endpoints, endpoints);
    EXPECT_EQ(parsed->token(), token);
  }
}

// People copy it by hand, or by chat from one device to another.
TEST(Invitation, TokensAreShort) {
  Invitation invitation = sample();
  invitation.endpoints = {"tcp://192.168.1.20:7700"};
  EXPECT_EQ(invitation.token().size(), 76u);
  invitation.endpoints = {"tcp://192.168.1.20:7700", "tcp://[2001:db8::1]:7700"};
  EXPECT_EQ(invitation.token().size(), 99u);
}

TEST(Invitation, OnlyWhatThereIsRoomForIsNamed) {
  Invitation invitation = sample();
  invitation.endpoints.assign(20, "tcp://10.0.0.1:7700");
  EXPECT_EQ(parse_invitation(invitation.token())->endpoints.size(), Invitation::kMostEndpoints);
  invitation.endpoints.assign(8, "tcp://" + std::string(253, 'a') + ":7700");
  std::string token = invitation.token();
  EXPECT_LE(token.size(), 600u);
  EXPECT_EQ(parse_invitation(token)->endpoints, Endpoints{invitation.endpoints.front()});
}

TEST(Invitation, TokensOfTheEarlierVersionAreRead) {
  auto parsed = parse_invitation(kEarlierToken);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->coordinator, sample().coordinator);
  EXPECT_EQ(parsed->signing_key[31], 131);
  EXPECT_EQ(parsed->secret[31], 231);
  EXPECT_EQ(parsed->endpoints, Endpoints{"tcp://kitchen.lan:7100"});
  for (size_t i = 9; i < kEarlierToken.size(); ++i) {
    std::string altered(kEarlierToken);
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(parse_invitation(altered).ok()) << i;
  }
}

TEST(Invitation, AddressesAreCheckedOneByOne) {
  EXPECT_EQ(parse_invitation(with_addresses({0, 10, 0, 0, 1}))->endpoints,
            Endpoints{"tcp://10.0.0.1:7700"});
  EXPECT_EQ(parse_invitation(with_addresses({6, 1, 0, 1}, "a"))->endpoints, Endpoints{"tcp://a:1"});
  for (const std::string& token :
       {with_addresses({}), with_addresses({0, 10, 0, 0}), with_addresses({1, 1, 2, 3, 4}),
        with_addresses({2}), with_addresses({2, 3}, "ab"), with_addresses({2, 0}),
        with_addresses({4, 0, 0, 10, 0, 0, 1}), with_addresses({4, 1}), with_addresses({3, 1}, "a"),
        with_addresses({8, 10, 0, 0, 1}), with_addresses({2, 3}, "a b"),
        with_addresses({2, 1}, "*"), token_of(ByteVector(41)), token_of({})}) {
    EXPECT_FALSE(parse_invitation(token).ok()) << token;
  }
  std::string many;
  for (int i = 0; i < 9; ++i) many += std::string("\x02\x01", 2) + "a";
  EXPECT_FALSE(parse_invitation(with_addresses({}, many)).ok());
  EXPECT_TRUE(parse_invitation(with_addresses({}, many.substr(3))).ok());
}

TEST(Invitation, EverySingleAlteredCharacterIsNoticed) {
  const std::string token = sample().token();
  const std::string characters = std::string(kAlphabet) + ".= \n+/" + '\0';
  for (size_t i = 0; i < token.size(); ++i) {
    for (char c : characters) {
      if (c == token[i]) continue;
      std::string altered = token;
      altered[i] = c;
      ASSERT_FALSE(parse_invitation(altered).ok()) << "at " << i << ": " << c;
    }
  }
}

TEST(Invitation, MissingDoubledAndSwappedCharactersAreNoticed) {
  const std::string token = sample().token();
  for (size_t i = 0; i < token.size(); ++i) {
    EXPECT_FALSE(parse_invitation(token.substr(0, i)).ok());
    EXPECT_FALSE(parse_invitation(token.substr(0, i) + token.substr(i + 1)).ok());
    EXPECT_FALSE(parse_invitation(token.substr(0, i) + token[i] + token.substr(i)).ok());
    if (i + 1 == token.size() || token[i] == token[i + 1]) continue;
    std::string swapped = token;
    std::swap(swapped[i], swapped[i + 1]);
    EXPECT_FALSE(parse_invitation(swapped).ok());
  }
  EXPECT_FALSE(parse_invitation(token + "=").ok());
  EXPECT_FALSE(parse_invitation(token + "A").ok());
  EXPECT_FALSE(parse_invitation(token + std::string(1000, 'A')).ok());
}

// Letters, chats and terminals break lines, add blanks and quotes, and people copy the whole line.
TEST(Invitation, WhatPeoplePasteIsUnderstood) {
  const std::string token = sample().token();
  const std::string half = token.substr(0, 40);
  const std::string rest = token.substr(40);
  for (const std::string& pasted :
       {token, token + " ", token + "\n", "\r\n" + token + "\r\n\t", "potluck join " + token,
        "build/release/potluck join " + token + "\n", "$ potluck join \"" + token + "\"",
        "'" + token + "'", "`" + token + "`", "<" + token + ">", token + ".", half + "\n" + rest,
        half + "\r\n    " + rest, "potluck join " + half + " " + rest,
        "Run this: potluck join " + token + " (once, within a day)",
        half + "\n" + rest + "\nSee you!", token + " " + token}) {
    auto parsed = parse_invitation(pasted);
    ASSERT_TRUE(parsed.ok()) << pasted << ": " << parsed.error().message;
    EXPECT_EQ(parsed->secret, sample().secret);
  }
  std::string lines;
  for (size_t i = 0; i < token.size(); i += 20) lines += "  " + token.substr(i, 20) + "\n";
  EXPECT_TRUE(parse_invitation(lines).ok()) << lines;
}

TEST(Invitation, WhatHoldsNoWholeTokenIsAnError) {
  const std::string token = sample().token();
  for (const std::string& pasted :
       {std::string(), std::string(" \n"), std::string("potluck join"), "x" + token,
        token.substr(0, 40) + "\nAnd now?", token.substr(0, 40) + "\n" + token.substr(42),
        token + token, std::string(100'000, ' ') + token, token.substr(9)}) {
    EXPECT_FALSE(parse_invitation(pasted).ok()) << pasted;
  }
}

TEST(Invitation, ErrorsDoNotRepeatTheToken) {
  std::string token = sample().token();
  token[40] = token[40] == 'A' ? 'B' : 'A';
  auto parsed = parse_invitation(token);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().message.find(token.substr(9, 10)), std::string::npos);
}

class InvitationBookTest : public testing::Test {
 protected:
  SeededEntropy entropy_{1};
  InvitationBook book_;

  void expect_refused(const InvitationSecret& secret, int64_t now, const char* reason) {
    Status status = book_.redeem(secret, now);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kRefused);
    EXPECT_NE(status.error().message.find(reason), std::string::npos) << status.error().message;
  }
};

TEST_F(InvitationBookTest, AnInvitationWorksOnce) {
  Invitation issued = book_.issue(sample(), 1000, entropy_);
  EXPECT_NE(issued.secret, sample().secret);
  EXPECT_EQ(issued.coordinator, sample().coordinator);
  EXPECT_EQ(issued.secret, invitation_secret(issued.seed));
  EXPECT_EQ(book_.open_count(999), 1u);
  EXPECT_TRUE(book_.redeem(issued.secret, 999).ok());
  EXPECT_EQ(book_.open_count(999), 0u);
  expect_refused(issued.secret, 999, "used");
  expect_refused(issued.secret, 5000, "used");
  expect_refused(issued.secret, 5000, "unknown");  // nothing is remembered beyond the expiry
}

TEST_F(InvitationBookTest, AnInvitationExpires) {
  Invitation issued = book_.issue(sample(), 1000, entropy_);
  EXPECT_EQ(book_.open_count(999), 1u);
  EXPECT_EQ(book_.open_count(1000), 0u) << "although it was never tried";
  expect_refused(issued.secret, 1000, "expired");
  expect_refused(issued.secret, 1, "unknown");
}

TEST_F(InvitationBookTest, UnknownSecretsAreRefusedAndUseNothingUp) {
  Invitation issued = book_.issue(sample(), 1000, entropy_);
  for (size_t i = 0; i < issued.secret.size(); ++i) {
    InvitationSecret other = issued.secret;
    other[i] ^= 1;
    expect_refused(other, 1, "unknown");
  }
  EXPECT_TRUE(book_.redeem(issued.secret, 1).ok());
}

TEST_F(InvitationBookTest, AnInvitationThatDidNotHelpStaysGood) {
  Invitation issued = book_.issue(sample(), 1000, entropy_);
  Status failed = book_.redeem(issued.secret, 1, [] {
    return Status(Error{ErrorCode::kLimit, "the disk is full"});
  });
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "the disk is full");
  EXPECT_EQ(book_.open_count(1), 1u);
  EXPECT_TRUE(book_.redeem(issued.secret, 1).ok());
  EXPECT_EQ(book_.open_count(1), 0u);
}

TEST_F(InvitationBookTest, SeveralInvitationsAreIndependent) {
  Invitation first = book_.issue(sample(), 1000, entropy_);
  Invitation second = book_.issue(sample(), 2000, entropy_);
  EXPECT_NE(first.secret, second.secret);
  EXPECT_TRUE(book_.redeem(second.secret, 500).ok());
  EXPECT_TRUE(book_.redeem(first.secret, 500).ok());
}

}  // namespace
}  // namespace potluck
