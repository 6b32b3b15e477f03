// What one member can make the coordinator do and keep, however much it says.
#include <gtest/gtest.h>

#include "coordinator/cluster/membership.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/report_limits.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::any_contains;
using test::peer;
using test::sample_manifest;

constexpr uint64_t kEpoch = 17;

class FloodTest : public testing::Test {
 protected:
  FloodTest() {
    MembershipOptions options;
    options.epoch = kEpoch;
    options.slices = 4;
    membership_.emplace(options, manifest_, allow_list_, invitations_, clock_);
    for (uint8_t number = 1; number <= kWorkers; ++number) {
      EXPECT_TRUE(allow_list_.add(peer(number), "test").ok());
      tell(number, hello());
    }
    take();
    clock_.advance(seconds(60));
    everybody_lives();
    membership_->on_tick();
    take();
  }

  static Hello hello() {
    Hello hello;
    hello.arithmetic_version = kArithmeticVersion;
    hello.name = "w";
    hello.disk_bytes = 1000 * kGiB;
    hello.bulk_endpoint = "tcp://10.0.0.1:7000";
    return hello;
  }

  void tell(uint8_t number, const Message& message) {
    membership_->on_message(peer(number), Channel::kCompute, message);
  }

  void everybody_lives() {
    for (uint8_t number = 1; number <= kWorkers; ++number) membership_->heard_from(peer(number));
  }

  // Sends what is to be sent; beats that want it are answered by those who take what they are sent.
  void take() {
    for (const OutgoingMessage& outgoing : membership_->take_outgoing()) {
      uint64_t bytes = encode_header(outgoing.message).size();
      sent_bytes_ += bytes;
      bytes_to_[outgoing.peer] += bytes;
      ++sent_messages_;
      const auto* assignment = std::get_if<Assignment>(&outgoing.message);
      if (assignment != nullptr) told_[outgoing.peer] = assignment->version;
      const auto* beat = std::get_if<Heartbeat>(&outgoing.message);
      if (beat == nullptr || !beat->reply_wanted || deaf_.contains(outgoing.peer)) continue;
      membership_->on_message(outgoing.peer, Channel::kCompute,
                              Heartbeat{kEpoch, beat->sequence, false});
    }
  }

  static constexpr uint8_t kWorkers = 16;
  Manifest manifest_ = sample_manifest(30, 64);
  AllowList allow_list_;
  InvitationBook invitations_;
  ManualClock clock_;
  std::optional<Membership> membership_;
  std::set<PeerKey> deaf_;
  uint64_t sent_bytes_ = 0;
  uint64_t sent_messages_ = 0;
  std::map<PeerKey, uint64_t> bytes_to_;
  std::map<PeerKey, uint64_t> told_;  // version of the last assignment
};

// Each greeting once was a welcome, the rosters of all and an assignment: a hundred kilobytes.
TEST_F(FloodTest, AThousandGreetingsAreAnsweredOnce) {
  sent_bytes_ = 0;
  for (int i = 0; i < 1000; ++i) tell(1, hello());
  take();
  EXPECT_LE(sent_messages_, 300u);
  uint64_t once = sent_bytes_;
  EXPECT_LT(once, 64 * kKiB);
  EXPECT_EQ(membership_->take_reset_workers().size(), 1u);
  // Also when it is sent between any two of them.
  for (int i = 0; i < 1000; ++i) {
    tell(1, hello());
    take();
  }
  EXPECT_LE(sent_bytes_, once);
}

// Nor does it help to say something else each time, or to leave and come back.
TEST_F(FloodTest, GreetingsThatDifferAreAnsweredEverMoreSeldom) {
  for (bool leaves : {false, true}) {
    membership_->take_reset_workers();
    TimePoint start = clock_.now();
    uint64_t bytes = sent_bytes_;
    size_t resets = 0;
    for (int i = 0; clock_.now() < start + seconds(60); ++i) {
      Hello different = hello();
      different.disk_bytes += static_cast<uint64_t>(i % 7) * kGiB;
      different.bulk_endpoint += std::to_string(i % 5);
      different.name += std::to_string(i % 3);
      if (leaves) tell(1, Goodbye{kEpoch, ""});
      tell(1, different);
      clock_.advance(milliseconds(10));
      everybody_lives();
      if (i % 10 == 0) membership_->on_tick();
      take();
      resets += membership_->take_reset_workers().size();
    }
    EXPECT_LE(resets, 26u);
    EXPECT_LT(sent_bytes_ - bytes, 8 * kMiB);
    clock_.advance(seconds(60));
    everybody_lives();
  }
}

// What was held back is answered when its time has come, by the clock alone.
TEST_F(FloodTest, AGreetingThatHadToWaitIsAnsweredInTime) {
  tell(1, hello());
  take();
  membership_->take_reset_workers();
  Hello moved = hello();
  moved.bulk_endpoint = "tcp://10.0.0.1:7001";
  tell(1, moved);
  EXPECT_TRUE(membership_->take_reset_workers().empty());
  TimePoint asked = clock_.now();
  while (membership_->take_reset_workers().empty()) {
    ASSERT_LE(clock_.now(), asked + kGreetingPause);
    TimePoint next = membership_->next_tick();
    ASSERT_GT(next, clock_.now());
    clock_.set(next);
    everybody_lives();
    membership_->on_tick();
    take();
  }
  EXPECT_EQ(membership_->state().worker(peer(1))->bulk_endpoint, moved.bulk_endpoint);
}

// A worker that was lost and is back within the pause is not told to wait for ever.
TEST_F(FloodTest, AWorkerThatWasLostIsTakenBack) {
  tell(1, hello());
  membership_->on_unreachable(peer(1), "connection closed");
  tell(1, hello());
  EXPECT_FALSE(membership_->is_member(peer(1)));
  clock_.advance(kGreetingPause);
  everybody_lives();
  membership_->on_tick();
  EXPECT_TRUE(membership_->is_member(peer(1)));
}

TEST_F(FloodTest, BeatsAndNonsenseAreAnsweredTogether) {
  sent_messages_ = 0;
  for (int i = 0; i < 10'000; ++i) {
    tell(1, Heartbeat{kEpoch, 5, true});
    membership_->refuse(peer(1), Channel::kCompute, RefusalReason::kProtocol, "nonsense");
  }
  take();
  EXPECT_LE(sent_messages_, 2u);
}

// It says that it lives and reads nothing.
TEST_F(FloodTest, APeerThatTakesNothingIsSentNoMore) {
  deaf_ = {peer(1)};
  bytes_to_.clear();
  bool lost = false;
  TimePoint start = clock_.now();
  for (int i = 0; !lost && clock_.now() < start + std::chrono::minutes(30); ++i) {
    // Another worker comes and goes: units move all the time.
    if (i % 20 == 0) tell(2, Goodbye{kEpoch, ""});
    if (i % 20 == 10) tell(2, hello());
    clock_.advance(milliseconds(500));
    everybody_lives();
    membership_->on_tick();
    take();
    lost = !membership_->is_member(peer(1));
  }
  EXPECT_TRUE(lost) << "what it was to hold is held by others then";
  EXPECT_TRUE(any_contains(membership_->take_notices(), "does not take what it is sent"));
  // What it may have, and a beat a second that asks.
  EXPECT_LT(bytes_to_[peer(1)], ControlOutbox::kUnconfirmedBytes + 256 * kKiB);
  EXPECT_GT(bytes_to_[peer(3)], bytes_to_[peer(1)]) << "the others are told on";
}

// It was only slow: it gets everything as it is then, as soon as it answers.
TEST_F(FloodTest, APeerThatTakesAgainIsToldWhatIsSoThen) {
  deaf_ = {peer(1)};
  auto behind = [&] {
    return told_[peer(1)] != membership_->state().worker(peer(1))->assignment_version;
  };
  for (int i = 0; i < 10'000 && !behind(); ++i) {
    if (i % 20 == 0) tell(2, Goodbye{kEpoch, ""});
    if (i % 20 == 10) tell(2, hello());
    clock_.advance(milliseconds(500));
    everybody_lives();
    take();
  }
  ASSERT_TRUE(behind());
  deaf_.clear();
  for (int i = 0; i < 4; ++i) {
    clock_.advance(milliseconds(500));
    everybody_lives();
    take();
  }
  EXPECT_FALSE(behind());
}

TEST_F(FloodTest, AReportOfMoreUnitsThanAnyWorkerHoldsIsRefused) {
  Residency report{kEpoch, membership_->state().worker(peer(1))->assignment_version, {}, {}};
  report.ready.assign(limits::kUnitsPerReport + 1, UnitId{0, 0, 0});
  tell(1, report);
  bool refused = false;
  for (const OutgoingMessage& outgoing : membership_->take_outgoing()) {
    refused = refused || std::holds_alternative<Refusal>(outgoing.message);
  }
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace potluck
