// A pool whose owner computes, or waits, and does nothing for its network: over real sockets.
#include "coordinator/runtime/loop_keeper.h"

#include <gtest/gtest.h>

#include "coordinator/runtime/runtime.h"
#include "engine/base/random.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LoopKeeperTest : public testing::Test {
 protected:
  LoopKeeperTest() : storage_(make_system_storage()) {
    RuntimeOptions options;
    options.model_path = test::data_path("arch/qwen3moe/model.gguf");
    options.context = 64;
    options.system = &system_files();
    options.pool = true;
    auto opened = Runtime::open(options, *storage_, clock_, entropy_, nullptr);
    CHECK(opened.ok());
    runtime_ = std::move(*opened);
  }

  // The next message of that kind; others are passed over.
  template <class T>
  std::optional<T> next(Duration patience) {
    TimePoint deadline = clock_.now() + patience;
    while (clock_.now() < deadline) {
      auto envelope = member_.receive(deadline - clock_.now());
      if (!envelope) continue;
      Result<Message> message = decode_header(envelope->frames.header);
      if (message && std::holds_alternative<T>(*message)) return std::get<T>(*message);
    }
    return std::nullopt;
  }
  void connect(Channel channel, const std::string& endpoint) {
    ASSERT_TRUE(member_.connect(coordinator_, channel, endpoint).ok());
    TimePoint deadline = clock_.now() + seconds(10);
    while (member_.link_state(coordinator_, channel) != LinkState::kConnected) {
      ASSERT_LT(clock_.now(), deadline);
      member_.receive(milliseconds(5));
    }
  }
  void say(Channel channel, const Message& message) {
    ASSERT_TRUE(member_.send(coordinator_, channel, {encode_header(message), {}}).ok());
  }
  void join() {
    Invitation invitation = runtime_->pool()->invite();
    coordinator_ = invitation.coordinator;
    connect(Channel::kJoin, invitation.endpoints.front());
    say(Channel::kJoin, JoinRequest{invitation.secret, "member"});
    auto accept = next<JoinAccept>(seconds(10));
    ASSERT_TRUE(accept.has_value());
    connect(Channel::kCompute, accept->compute_endpoint);
    Hello hello;
    hello.arithmetic_version = kArithmeticVersion;
    hello.kernels = kernel_self_test(runtime_->kernels());
    hello.name = "member";
    hello.disk_bytes = kGiB;
    say(Channel::kCompute, hello);
    auto welcome = next<Welcome>(seconds(10));
    ASSERT_TRUE(welcome.has_value());
    epoch_ = welcome->epoch;
  }

  std::unique_ptr<Storage> storage_;
  SystemClock clock_;
  SystemEntropy entropy_;
  std::unique_ptr<Runtime> runtime_;
  ZmqClientTransport member_{generate_curve_keys()};
  PeerKey coordinator_;
  uint64_t epoch_ = 0;
};

// The test does not call the pool after the invitation: its owner may be in the middle of a long
// step.
TEST_F(LoopKeeperTest, InvitationsAreRedeemedAndHeartbeatsAnsweredMeanwhile) {
  TimePoint start = clock_.now();
  join();
  EXPECT_LT(clock_.now() - start, seconds(3));
  int late = 0;
  for (uint64_t i = 0; i < 40; ++i) {
    TimePoint asked = clock_.now();
    say(Channel::kCompute, Heartbeat{epoch_, i, true});
    ASSERT_TRUE(next<Heartbeat>(seconds(10)).has_value());
    late += clock_.now() - asked > milliseconds(100) ? 1 : 0;
  }
  EXPECT_LE(late, 2) << "of 40 answers took longer than 100 ms";
  auto lock = runtime_->pool()->lock();
  EXPECT_EQ(runtime_->pool()->cluster().workers().size(), 1u);
}

// A member that sends without end does not keep the thread that generates from the loop.
TEST_F(LoopKeeperTest, TheLoopIsHandedOverAtOnce) {
  join();
  Duration longest{0};
  for (int i = 0; i < 200; ++i) {
    for (int k = 0; k < 20; ++k) say(Channel::kCompute, Heartbeat{epoch_, 1, true});
    TimePoint start = clock_.now();
    { auto lock = runtime_->pool()->lock(); }
    longest = std::max(longest, clock_.now() - start);
    while (member_.receive(milliseconds(1))) {
    }
  }
  EXPECT_LT(longest, milliseconds(100));
}

}  // namespace
}  // namespace potluck
