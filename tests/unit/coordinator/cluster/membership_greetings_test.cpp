// Who is welcomed and who is not: keys, versions, the self-test of the kernels, repeated greetings.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using test::any_contains;
using test::MembershipTest;
using test::peer;

class MembershipGreetings : public MembershipTest {};

TEST_F(MembershipGreetings, WelcomesAWorkerAndTellsItWhatToHold) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  tell(1, hello(1));
  std::vector<OutgoingMessage> outgoing = membership_->take_outgoing();
  ASSERT_EQ(outgoing.size(), 3u);
  const auto& welcome = std::get<Welcome>(outgoing[0].message);
  EXPECT_EQ(welcome.epoch, kEpoch);
  EXPECT_EQ(welcome.worker_number, 1u);
  EXPECT_EQ(welcome.manifest, manifest_.digest());
  EXPECT_EQ(welcome.manifest_bytes, manifest_.encode().size());
  EXPECT_EQ(welcome.heartbeat_ms, 1000u);
  EXPECT_EQ(std::get<Roster>(outgoing[1].message).peers.size(), 0u);  // there are no other workers
  const auto& assignment = std::get<Assignment>(outgoing[2].message);
  EXPECT_EQ(assignment.epoch, kEpoch);
  EXPECT_EQ(assignment.slices, 2u);
  EXPECT_EQ(assignment.units.size(), kUnits);
  EXPECT_EQ(membership_->state().units_ready(), 0u);
  EXPECT_TRUE(any_contains(membership_->take_notices(), "worker 1 (worker-1, "));
}

TEST_F(MembershipGreetings, OnlyThoseWhoseUnitsChangeGetAnAssignment) {
  join(1);
  join(2);
  make_ready(1);
  make_ready(2);
  forget_sent();
  pause();
  tell(1, hello(1));  // again
  EXPECT_EQ(sent<Assignment>(1).size(), 1u);
  EXPECT_EQ(sent<Assignment>(2).size(), 0u);
}

TEST_F(MembershipGreetings, HelloAgainIsIdempotentButForgetsWhatWasReady) {
  Assignment first = join(1);
  make_ready(1);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
  EXPECT_TRUE(membership_->take_reset_workers().empty());
  pause();
  tell(1, hello(1));
  ASSERT_EQ(sent<Welcome>(1).size(), 2u);
  std::vector<Assignment> again = sent<Assignment>(1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].units, first.units);
  EXPECT_GT(again[0].version, first.version);
  EXPECT_EQ(membership_->state().units_ready(), 0u);
  EXPECT_EQ(membership_->state().worker(peer(1))->number, 1u);
  EXPECT_EQ(membership_->state().workers_lost(), 0u);
  EXPECT_EQ(membership_->take_reset_workers(), std::vector{peer(1)});
  make_ready(1);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
}

TEST_F(MembershipGreetings, AKeyThatIsOnNoListIsRefused) {
  tell(1, hello(1));
  std::vector<Refusal> refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kInvitation);
  EXPECT_TRUE(membership_->state().workers().empty());
  EXPECT_TRUE(any_contains(membership_->take_notices(), "refused peer"));
}

TEST_F(MembershipGreetings, RefusalsNameBothValues) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  Hello wrong = hello(1);
  wrong.protocol_version = 99;
  tell(1, wrong);
  std::vector<Refusal> refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kVersion);
  EXPECT_NE(refusals[0].message.find(fmt::format("expected {}, found 99", kProtocolVersion)),
            std::string::npos);

  wrong = hello(1);
  wrong.arithmetic_version = 98;
  tell(1, wrong);
  refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kArithmetic);
  EXPECT_NE(refusals[0].message.find("expected 1, found 98"), std::string::npos);
  EXPECT_TRUE(membership_->state().workers().empty());
}

// The sample manifest has experts in F32 with SwiGLU: nothing is quantized.
TEST_F(MembershipGreetings, OtherKernelsAreRefusedWhereTheModelNeedsThem) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  for (KernelPart part :
       {products_of(TensorType::kF32), KernelPart::kSwiGlu, KernelPart::kAccumulate}) {
    Hello wrong = hello(1);
    digest_of(wrong, part) = test::sample_digest(78);
    tell(1, wrong);
    std::vector<Refusal> refusals = sent<Refusal>(1);
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_EQ(refusals[0].reason, RefusalReason::kArithmetic);
    EXPECT_EQ(refusals[0].message,
              "kernels of worker-1 (" + peer(1).brief() + "): " + kernel_part_name(part) +
                  ", which this model needs: expected digest " +
                  find_digest(options_.kernels, part)->brief() + ", found 4e000000");
    std::erase_if(wrong.kernels, [part](const KernelDigest& known) { return known.part == part; });
    tell(1, wrong);
    refusals = sent<Refusal>(1);
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_NE(refusals[0].message.find(", found none"), std::string::npos);
  }
  EXPECT_TRUE(membership_->state().workers().empty());
  tell(1, hello(1));
  EXPECT_TRUE(membership_->is_member(peer(1)));
}

TEST_F(MembershipGreetings, OlderAndNewerWorkersAreAdmittedIfTheyAgreeOnWhatTheModelNeeds) {
  std::vector<KernelDigest> all = options_.kernels;
  Hello fewer = hello(1);
  std::erase_if(fewer.kernels, [](const KernelDigest& known) {
    return known.part != products_of(TensorType::kF32) && known.part != KernelPart::kSwiGlu &&
           known.part != KernelPart::kAccumulate;
  });
  EXPECT_EQ(fewer.kernels.size(), 3u);
  Hello more = hello(2);
  more.kernels.insert(more.kernels.begin() + 1, {KernelPart{5}, test::sample_digest(1)});
  more.kernels.push_back({KernelPart{0x20000}, test::sample_digest(2)});
  Hello other = hello(3);
  digest_of(other, products_of(TensorType::kQ4_K)) = test::sample_digest(3);
  digest_of(other, KernelPart::kSwiGluOai) = test::sample_digest(4);
  digest_of(other, KernelPart::kRmsNorm) = test::sample_digest(5);
  for (const auto& [number, greeting] : {std::pair{1, fewer}, {2, more}, {3, other}}) {
    auto worker = static_cast<uint8_t>(number);
    ASSERT_TRUE(allow_list_.add(peer(worker), "").ok());
    tell(worker, greeting);
    EXPECT_TRUE(membership_->is_member(peer(worker))) << number;
    EXPECT_TRUE(sent<Refusal>(worker).empty()) << number;
  }
}

TEST_F(MembershipGreetings, AMemberThatComesBackUnfitIsLost) {
  join(1);
  join(2);
  forget_sent();
  Hello wrong = hello(1);
  digest_of(wrong, KernelPart::kAccumulate) = test::sample_digest(78);
  tell(1, wrong);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  ASSERT_EQ(sent<Assignment>(2).size(), 1u);
  EXPECT_EQ(membership_->state().worker(peer(2))->assigned.size(), kUnits);
}

TEST_F(MembershipGreetings, ALostWorkerMayComeBackUnderAFreshNumber) {
  join(1);
  join(2);
  membership_->on_unreachable(peer(1), "connection closed");
  EXPECT_FALSE(membership_->is_member(peer(1)));
  pause();
  tell(1, hello(1));
  ASSERT_TRUE(membership_->is_member(peer(1)));
  EXPECT_EQ(membership_->state().worker(peer(1))->number, 3u);
  EXPECT_EQ(assigned_units(), kUnits);
}

class SmallPoolTest : public MembershipTest {
 protected:
  SmallPoolTest() : MembershipTest(2) {}
};

TEST_F(SmallPoolTest, IsFullAtItsLimit) {
  join(1);
  join(2);
  ASSERT_TRUE(allow_list_.add(peer(3), "").ok());
  tell(3, hello(3));
  std::vector<Refusal> refusals = sent<Refusal>(3);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kFull);
  tell(2, hello(2));  // members may greet again
  EXPECT_EQ(sent<Refusal>(2).size(), 0u);
  membership_->on_unreachable(peer(1), "gone");
  tell(3, hello(3));
  EXPECT_TRUE(membership_->is_member(peer(3)));
}

}  // namespace
}  // namespace potluck
