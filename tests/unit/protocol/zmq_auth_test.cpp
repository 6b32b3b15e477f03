#include "protocol/zmq_auth.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using test::numbered_key;
using Verdict = HandshakeVerdict;
using std::chrono::milliseconds;

class HandshakePolicyTest : public testing::Test {
 protected:
  AllowList list_;
  HandshakePolicy policy_{list_};
  TimePoint now_ = milliseconds(1'000'000);

  Verdict member(const PeerKey& peer) { return policy_.judge(kMemberDomain, peer, now_); }
  Verdict join(const PeerKey& peer) { return policy_.judge(kJoinDomain, peer, now_); }
};

TEST_F(HandshakePolicyTest, OnlyMembersComeIn) {
  EXPECT_EQ(member(numbered_key(1)), Verdict::kRefuse);
  ASSERT_TRUE(list_.add(numbered_key(1), "").ok());
  EXPECT_EQ(member(numbered_key(1)), Verdict::kAccept);
  EXPECT_EQ(member(numbered_key(2)), Verdict::kRefuse);
  ASSERT_TRUE(list_.remove(numbered_key(1)).ok());
  EXPECT_EQ(member(numbered_key(1)), Verdict::kRefuse);
}

TEST_F(HandshakePolicyTest, UnknownDomainsAreForMembersOnly) {
  policy_.open_join(true);
  ASSERT_TRUE(list_.add(numbered_key(1), "").ok());
  for (const char* domain : {"", "potluck", "potluck.join ", "global"}) {
    EXPECT_EQ(policy_.judge(domain, numbered_key(2), now_), Verdict::kRefuse);
  }
}

TEST_F(HandshakePolicyTest, StrangersMayKnockWhileJoinIsOpen) {
  EXPECT_EQ(join(numbered_key(1)), Verdict::kRefuse) << "closed until it is opened";
  policy_.open_join(true);
  EXPECT_EQ(join(numbered_key(1)), Verdict::kAccept);
  policy_.open_join(false);
  EXPECT_EQ(join(numbered_key(1)), Verdict::kRefuse);
  ASSERT_TRUE(list_.add(numbered_key(1), "").ok());
  EXPECT_EQ(join(numbered_key(1)), Verdict::kAccept);
}

TEST_F(HandshakePolicyTest, StrangersAreLimitedInRate) {
  policy_.open_join(true);
  for (uint32_t i = 0; i < HandshakePolicy::kStrangersAtOnce; ++i) {
    EXPECT_EQ(join(numbered_key(1)), Verdict::kAccept);
  }
  EXPECT_EQ(join(numbered_key(2)), Verdict::kLater);
  now_ += HandshakePolicy::kStrangerInterval;
  EXPECT_EQ(join(numbered_key(3)), Verdict::kAccept);
  EXPECT_EQ(join(numbered_key(3)), Verdict::kLater);
  now_ += std::chrono::hours(10);  // no more than a burst, however long it was quiet
  for (uint32_t i = 0; i < HandshakePolicy::kStrangersAtOnce; ++i) {
    EXPECT_EQ(join(numbered_key(4)), Verdict::kAccept);
  }
  EXPECT_EQ(join(numbered_key(4)), Verdict::kLater);
}

TEST_F(HandshakePolicyTest, AFloodOfStrangersDoesNotKeepMembersOut) {
  policy_.open_join(true);
  ASSERT_TRUE(list_.add(numbered_key(9), "").ok());
  for (int i = 0; i < 1000; ++i) join(numbered_key(1));
  EXPECT_EQ(join(numbered_key(9)), Verdict::kAccept);
  EXPECT_EQ(member(numbered_key(9)), Verdict::kAccept);
}

}  // namespace
}  // namespace potluck
