#include "protocol/invitation.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

Invitation sample() {
  Invitation invitation;
  for (uint8_t i = 0; i < 32; ++i) {
    invitation.coordinator.bytes[i] = i;
    invitation.signing_key[i] = static_cast<uint8_t>(100 + i);
    invitation.secret[i] = static_cast<uint8_t>(200 + i);
  }
  invitation.expires_unix_seconds = 1'800'000'000;
  invitation.join_endpoint = "tcp://kitchen.lan:7100";
  return invitation;
}

TEST(Invitation, TokensComeBackAsTheyWere) {
  for (const char* endpoint : {"tcp://a:1", "tcp://192.168.1.20:65535", "tcp://[fe80::1%eth0]:80",
                               "tcp://some-long.name.example.org:7100"}) {
    Invitation invitation = sample();
    invitation.join_endpoint = endpoint;
    std::string token = invitation.token();
    EXPECT_TRUE(token.starts_with("potluck1."));
    EXPECT_EQ(token.find_first_not_of(kAlphabet, 9), std::string::npos) << "can be pasted anywhere";
    auto parsed = parse_invitation(token);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->coordinator, invitation.coordinator);
    EXPECT_EQ(parsed->signing_key, invitation.signing_key);
    EXPECT_EQ(parsed->secret, invitation.secret);
    EXPECT_EQ(parsed->expires_unix_seconds, invitation.expires_unix_seconds);
    EXPECT_EQ(parsed->join_endpoint, endpoint);
  }
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
  const std::string half = token.substr(0, 80);
  const std::string rest = token.substr(80);
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
        token.substr(0, 80) + "\nAnd now?", token.substr(0, 80) + "\n" + token.substr(82),
        token + token, std::string(100'000, ' ') + token, token.substr(9)}) {
    EXPECT_FALSE(parse_invitation(pasted).ok()) << pasted;
  }
}

TEST(Invitation, OnlyTcpEndpointsAreAccepted) {
  for (const char* endpoint :
       {"", "ipc:///tmp/x", "inproc://x", "tcp://*:7100", "tcp://host", "tcp://host:0",
        "tcp://host:70000", "tcp://host:07100", "tcp://a;tcp://b:1", "tcp://host:7100/",
        "TCP://host:7100", "tcp://ho st:1", "tcp://:1", "tcp://[]:1"}) {
    Invitation invitation = sample();
    invitation.join_endpoint = endpoint;
    EXPECT_FALSE(parse_invitation(invitation.token()).ok()) << endpoint;
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
  EXPECT_EQ(issued.expires_unix_seconds, 1000);
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
