#include "protocol/simulated_link.h"

#include <gtest/gtest.h>

#include "protocol/inproc_transport.h"
#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::numbered_key;

// A worker behind a link of 5 ms and 1 MB/s, and a coordinator that is next to the far end.
class SimulatedLinkTest : public testing::Test {
 protected:
  static constexpr LinkSpec kLink{milliseconds(5), 1'000'000};

  static Frames frames(size_t bytes) {
    return {ByteVector(bytes / 2), ByteVector(bytes - bytes / 2)};
  }

  void send(size_t bytes, Channel channel = Channel::kCompute) {
    ASSERT_TRUE(link_.send(numbered_key(1), channel, frames(bytes)).ok());
  }
  void answer(size_t bytes, Channel channel = Channel::kCompute) {
    ASSERT_TRUE(coordinator_->send(numbered_key(2), channel, frames(bytes)).ok());
  }
  // The sizes of what the coordinator has got; the link is looked at like the worker's loop does.
  std::vector<uint64_t> got() {
    if (auto early = link_.receive({})) received_.push_back(early->frames.bytes());
    std::vector<uint64_t> sizes;
    while (auto envelope = coordinator_->receive({})) sizes.push_back(envelope->frames.bytes());
    return sizes;
  }
  std::vector<uint64_t> received() {
    while (auto envelope = link_.receive({})) received_.push_back(envelope->frames.bytes());
    return std::exchange(received_, {});
  }
  using Sizes = std::vector<uint64_t>;

  ManualClock clock_;
  InprocNetwork network_;
  std::unique_ptr<InprocTransport> coordinator_ = network_.endpoint(numbered_key(1));
  std::unique_ptr<InprocTransport> worker_ = network_.endpoint(numbered_key(2));
  bool connected_ = true;
  SimulatedLink link_{*worker_, kLink, [this](const PeerKey&, Channel) { return connected_; },
                      clock_};
  Sizes received_;
};

TEST_F(SimulatedLinkTest, DelaysByTheRateAndTheWay) {
  send(2000);
  EXPECT_EQ(got(), Sizes{});
  clock_.advance(milliseconds(7) - Duration(1));
  EXPECT_EQ(got(), Sizes{});
  clock_.advance(Duration(1));
  EXPECT_EQ(got(), Sizes{2000});
}

TEST_F(SimulatedLinkTest, CarriesOneMessageAfterTheOther) {
  send(2000);
  clock_.advance(milliseconds(1));
  send(3000);  // has to wait for the first: through after 5 ms
  clock_.set(milliseconds(7));
  EXPECT_EQ(got(), Sizes{2000});
  clock_.set(milliseconds(10) - Duration(1));
  EXPECT_EQ(got(), Sizes{});
  clock_.set(milliseconds(10));
  EXPECT_EQ(got(), Sizes{3000});
  clock_.set(milliseconds(100));
  send(1000);  // the idle time cannot be saved up
  clock_.set(milliseconds(106) - Duration(1));
  EXPECT_EQ(got(), Sizes{});
  clock_.set(milliseconds(106));
  EXPECT_EQ(got(), Sizes{1000});
}

TEST_F(SimulatedLinkTest, HoldsIncomingMessagesToo) {
  answer(1000);
  answer(1000);
  send(50'000);  // the other way is another wire
  EXPECT_EQ(received(), Sizes{});
  clock_.set(milliseconds(6));
  EXPECT_EQ(received(), Sizes{1000});
  clock_.set(milliseconds(7));
  EXPECT_EQ(received(), Sizes{1000});
}

TEST_F(SimulatedLinkTest, ComputePassesBulkAndCostsItsTime) {
  send(4000, Channel::kBulk);
  send(1000, Channel::kCompute);
  send(1000, Channel::kBulk);
  clock_.set(milliseconds(6));
  EXPECT_EQ(got(), Sizes{1000});
  clock_.set(milliseconds(9));
  EXPECT_EQ(got(), Sizes{4000});
  clock_.set(milliseconds(11) - Duration(1));
  EXPECT_EQ(got(), Sizes{});
  clock_.set(milliseconds(11));
  EXPECT_EQ(got(), Sizes{1000}) << "6000 bytes and the way";
}

TEST_F(SimulatedLinkTest, NothingSetsOutWithoutAConnection) {
  connected_ = false;
  Status sent = link_.send(numbered_key(1), Channel::kCompute, frames(10));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code, ErrorCode::kNotFound);
  connected_ = true;
  send(10);
  coordinator_.reset();  // lost on the way
  clock_.set(milliseconds(50));
  EXPECT_FALSE(link_.receive({}).has_value());
  EXPECT_EQ(link_.compute_bytes(), 0u) << "counted where it is really sent";
}

TEST_F(SimulatedLinkTest, HoldsABoundedAmount) {
  size_t most = SimulatedLink::kMostHeldBytes;
  send(most - 10, Channel::kBulk);
  EXPECT_EQ(link_.send(numbered_key(1), Channel::kBulk, frames(11)).error().code,
            ErrorCode::kLimit);
  EXPECT_TRUE(link_.send(numbered_key(1), Channel::kBulk, frames(10)).ok());
  answer(most - 10, Channel::kBulk);
  answer(11, Channel::kBulk);
  answer(10, Channel::kBulk);
  EXPECT_EQ(received(), Sizes{});
  clock_.set(std::chrono::hours(1));
  EXPECT_EQ(received(), (Sizes{most - 10, 10})) << "what finds the queue full is lost";
  EXPECT_EQ(got(), (Sizes{most - 10, 10}));
  send(most, Channel::kBulk);
}

TEST_F(SimulatedLinkTest, FinishesSendingWithinItsTime) {
  SystemClock clock;
  SimulatedLink link(
      *worker_, kLink, [](const PeerKey&, Channel) { return true; }, clock);
  TimePoint start = clock.now();
  ASSERT_TRUE(link.send(numbered_key(1), Channel::kCompute, frames(100)).ok());
  ASSERT_TRUE(link.send(numbered_key(1), Channel::kCompute, frames(5'000'000)).ok());
  link.finish_sending(milliseconds(50));
  EXPECT_GE(clock.now() - start, milliseconds(50));
  auto first = coordinator_->receive({});
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->frames.bytes(), 100u);
  EXPECT_FALSE(coordinator_->receive({}).has_value()) << "five seconds are too long";
}

}  // namespace
}  // namespace potluck
