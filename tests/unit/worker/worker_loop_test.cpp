// The worker's loop itself, under a clock that jumps: what decides when the core is ticked.
#include "worker/worker_loop.h"

#include <fmt/format.h>

#include "protocol/inproc_transport.h"
#include "tests/support/numbered_key.h"
#include "tests/unit/worker/worker_harness.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Connections that are as the test says.
class FakeLinks final : public WorkerLinks {
 public:
  Status connect(const PeerKey&, Channel, const std::string&) override {
    ++connects;
    return {};
  }
  void disconnect(const PeerKey&) override {}
  void disconnect(const PeerKey&, Channel) override {}
  LinkState state(const PeerKey&, Channel) override {
    ++looks;
    return now;
  }
  void admit(const std::set<PeerKey>&) override {}

  LinkState now = LinkState::kConnected;
  int connects = 0;
  int looks = 0;
};

// A member with everything, its loop, and the coordinator's end of the network.
class WorkerLoopTest : public testing::Test {
 protected:
  WorkerLoopTest() {
    coordinator_.fill(2, model_.units(2));
    network_.set_idle([this](Duration timeout) { worker_.clock.advance(timeout + lateness_); });
  }

  // Turns for so long. Counts what the coordinator hears; it answers nothing.
  void run(Duration time) {
    TimePoint end = worker_.clock.now() + time;
    while (worker_.clock.now() < end) {
      loop_.turn(seconds(1));
      ++turns_;
      hear();
    }
  }
  void hear() {
    if (far_end_ == nullptr) return;
    while (auto envelope = far_end_->receive({})) {
      Result<Message> message = decode_header(envelope->frames.header);
      ASSERT_TRUE(message.ok());
      heartbeats_ += std::holds_alternative<Heartbeat>(*message) ? 1 : 0;
      hellos_ += std::holds_alternative<Hello>(*message) ? 1 : 0;
      answers_ += std::holds_alternative<Partial>(*message) ? 1 : 0;
    }
  }
  void say(const Message& message, ByteVector tensor = {}) {
    Frames frames{encode_header(message), std::move(tensor)};
    ASSERT_TRUE(far_end_->send(own_key_, Channel::kCompute, std::move(frames)).ok());
  }

  SampleModel model_{1};
  WorkerHarness worker_;
  FakeCoordinator coordinator_{worker_, model_, 1};
  PeerKey own_key_ = numbered_key(9);
  InprocNetwork network_;
  std::unique_ptr<InprocTransport> transport_ = network_.endpoint(own_key_);
  std::unique_ptr<InprocTransport> far_end_ = network_.endpoint(coordinator_.key());
  FakeLinks links_;
  WorkerLoop loop_{worker_.core(), *transport_, links_, worker_.clock, {}};
  Duration lateness_{0};
  int turns_ = 0;
  int heartbeats_ = 0;
  int hellos_ = 0;
  int answers_ = 0;
};

// No operating system ends a wait at the very moment that was asked for.
TEST_F(WorkerLoopTest, AMomentThatPassesWhileItWaitsIsNotForgotten) {
  constexpr Duration kLate[] = {Duration(0), Duration(1), std::chrono::microseconds(60),
                                milliseconds(3), milliseconds(900)};
  for (Duration late : kLate) {
    SCOPED_TRACE(late.count());
    lateness_ = late;
    say(Heartbeat{coordinator_.epoch, 1, false});
    run(milliseconds(1));
    heartbeats_ = 0;
    // Within the time after which a silent coordinator is given up.
    run(milliseconds(3800));
    EXPECT_GE(heartbeats_, late < milliseconds(10) ? 3 : 1);
    EXPECT_TRUE(hellos_ == 0 || late > milliseconds(10)) << hellos_;
    run(seconds(5));
    EXPECT_GT(hellos_, 0) << "nothing was heard for longer than any coordinator that lives";
    hellos_ = 0;
    say(Welcome{coordinator_.epoch, 1, coordinator_.announced,
                coordinator_.signed_manifest.body.size(), 1000});
    run(milliseconds(1));
  }
}

TEST_F(WorkerLoopTest, AfterAnAbsenceOfAnyLengthItSpeaksAtOnceAndGreetsSoon) {
  for (int away : {3, 8, 20, 60, 300, 86'400}) {
    SCOPED_TRACE(away);
    say(Welcome{coordinator_.epoch, 1, coordinator_.announced,
                coordinator_.signed_manifest.body.size(), 1000});
    run(milliseconds(500));
    heartbeats_ = hellos_ = 0;
    worker_.clock.advance(seconds(away));
    run(milliseconds(1));
    EXPECT_EQ(heartbeats_, 1);  // by which a coordinator that gave it up says so
    EXPECT_EQ(hellos_, 0);      // it had no chance to be heard
    run(seconds(5));
    EXPECT_GT(hellos_, 0);
  }
}

TEST_F(WorkerLoopTest, AFloodStopsNeitherTicksNorAnswersNorTheLookAtConnections) {
  SampleBatch batch = model_.batch(SampleModel::kBlocks, 1, 1, 3);
  for (int i = 0; i < 20'000; ++i) say(Roster{coordinator_.epoch, 1, {}});
  auto flooder = network_.endpoint(numbered_key(5));  // another worker that asks without end
  for (int i = 0; i < 20'000; ++i) {
    Frames frames{encode_header(FetchGrain{}), {}};
    ASSERT_TRUE(flooder->send(own_key_, Channel::kServe, std::move(frames)).ok());
  }
  say(coordinator_.compute_message(batch, 2), FakeCoordinator::frame_of(batch));
  links_.looks = 0;
  for (int i = 0; i < 45'000; ++i) {
    worker_.clock.advance(std::chrono::microseconds(200));  // what handling a message takes
    loop_.turn(seconds(1));
    hear();
  }
  EXPECT_GE(heartbeats_, 3);
  EXPECT_EQ(answers_, 1);
  EXPECT_GT(links_.looks, 10);
}

TEST_F(WorkerLoopTest, AnIdleWorkerTurnsRarely) {
  run(seconds(3));
  EXPECT_LT(turns_, 3 * 11 + 3 * 200 + 10) << "at most every 5 ms, and only while it connects";
  turns_ = 0;
  say(Heartbeat{coordinator_.epoch, 1, false});
  run(seconds(3));
  EXPECT_LT(turns_, 3 * 11 + 20);
}

TEST_F(WorkerLoopTest, ACoordinatorWhoseConnectionIsBackIsGreetedAtOnce) {
  run(seconds(20));  // until the loop has made connections of its own
  ASSERT_GT(links_.connects, 0);
  say(Welcome{coordinator_.epoch, 1, coordinator_.announced,
              coordinator_.signed_manifest.body.size(), 1000});
  run(milliseconds(300));
  links_.now = LinkState::kConnecting;
  run(milliseconds(200));
  hellos_ = 0;
  links_.now = LinkState::kConnected;
  run(milliseconds(200));
  EXPECT_EQ(hellos_, 1);
}

TEST_F(WorkerLoopTest, ALostConnectionToACoordinatorIsFoundByTheNextMessage) {
  run(milliseconds(10));
  far_end_.reset();  // sends fail from now on
  int connects = links_.connects;
  run(seconds(30));
  EXPECT_GE(links_.connects, connects + 2) << "both channels are connected anew";
}

}  // namespace
}  // namespace potluck::test
