#include <gtest/gtest.h>

#include "coordinator/cluster/membership.h"
#include "engine/base/memory_storage.h"
#include "tests/support/faulty_storage.h"
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using test::MembershipTest;
using test::peer;

TEST_F(MembershipTest, AnInvitationAdmitsAKeyOnce) {
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 100, entropy);
  tell(1, JoinRequest{invitation.secret, "a\nphone"}, Channel::kJoin);
  std::vector<OutgoingMessage> outgoing = membership_->take_outgoing();
  ASSERT_EQ(outgoing.size(), 1u);
  EXPECT_EQ(outgoing[0].channel, Channel::kJoin);
  const auto& accept = std::get<JoinAccept>(outgoing[0].message);
  EXPECT_EQ(accept.compute_endpoint, options_.compute_endpoint);
  EXPECT_EQ(accept.bulk_endpoint, options_.bulk_endpoint);
  EXPECT_EQ(accept.signing_key, options_.signing_key);
  EXPECT_TRUE(allow_list_.contains(peer(1)));
  EXPECT_EQ(allow_list_.entries().at(peer(1)).find('\n'), std::string::npos);
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 0u);

  // Another device with the same token.
  tell(2, JoinRequest{invitation.secret, "thief"}, Channel::kJoin);
  std::vector<Refusal> refusals = sent<Refusal>(2);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kInvitation);
  EXPECT_FALSE(allow_list_.contains(peer(2)));
  // The first device again: our answer may have been lost.
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  EXPECT_EQ(sent<JoinAccept>(1).size(), 1u);
}

// Whose coordinator has started again with other ports.
TEST_F(MembershipTest, AMemberNeedsNoInvitationToAskForTheEndpoints) {
  SeededEntropy entropy(4);
  invitations_.issue(Invitation{}, clock_.unix_seconds() + 100, entropy);
  ASSERT_TRUE(allow_list_.add(peer(1), "phone").ok());
  tell(1, JoinRequest{{}, "phone"}, Channel::kJoin);
  std::vector<JoinAccept> accepted = sent<JoinAccept>(1);
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(accepted[0].compute_endpoint, options_.compute_endpoint);
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 1u);
  EXPECT_FALSE(membership_->is_member(peer(1)));  // that takes a Hello
  tell(2, JoinRequest{{}, "stranger"}, Channel::kJoin);
  EXPECT_EQ(sent<JoinAccept>(2).size(), 0u);
  EXPECT_EQ(sent<Refusal>(2).size(), 1u);
}

TEST_F(MembershipTest, AnInvitationIsNotUsedUpWhenTheListCannotBeSaved) {
  MemoryStorage disk;
  test::FaultyStorage storage(disk);
  auto list = AllowList::load(storage, "members");
  ASSERT_TRUE(list.ok());
  membership_.emplace(options_, manifest_, *list, invitations_, clock_);
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 100, entropy);
  storage.fail_writes("members", 1);
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  std::vector<Refusal> refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_NE(refusals[0].message.find("the invitation stays good"), std::string::npos);
  EXPECT_FALSE(list->contains(peer(1)));
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 1u);
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  EXPECT_EQ(sent<JoinAccept>(1).size(), 1u);
  EXPECT_TRUE(list->contains(peer(1)));
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 0u);
}

TEST_F(MembershipTest, WrongAndExpiredInvitationsAreRefused) {
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 10, entropy);
  InvitationSecret guess = invitation.secret;
  guess[31] ^= 1;
  tell(1, JoinRequest{guess, ""}, Channel::kJoin);
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  clock_.advance(std::chrono::seconds(11));
  tell(1, JoinRequest{invitation.secret, ""}, Channel::kJoin);
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  EXPECT_FALSE(allow_list_.contains(peer(1)));
}

TEST_F(MembershipTest, TheJoinChannelKnowsOneVerb) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  tell(1, hello(1), Channel::kJoin);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 10, entropy);
  tell(2, JoinRequest{invitation.secret, ""}, Channel::kCompute);
  EXPECT_FALSE(allow_list_.contains(peer(2)));
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 1u);
}

TEST_F(MembershipTest, ARevokedDeviceIsToldAndIsNoMember) {
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) make_ready(number);
  forget_sent();
  membership_->revoke(peer(1));
  EXPECT_FALSE(membership_->is_member(peer(1)));
  std::vector<Refusal> refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kInvitation);
  EXPECT_EQ(membership_->state().worker(peer(2))->assigned.size(), kUnits);
  // What it says afterwards, before its connection ends.
  ASSERT_TRUE(allow_list_.remove(peer(1)).ok());
  tell(1, hello(1));
  EXPECT_FALSE(membership_->is_member(peer(1)));
}

TEST_F(MembershipTest, AnAdmittedDeviceIsToldWhereToConnect) {
  ASSERT_TRUE(membership_->admit_device(peer(1), "phone").ok());
  EXPECT_TRUE(allow_list_.contains(peer(1)));
  std::vector<JoinAccept> accepts = sent<JoinAccept>(1);
  ASSERT_EQ(accepts.size(), 1u);
  EXPECT_EQ(accepts[0].signing_key, options_.signing_key);
}

}  // namespace
}  // namespace potluck
