#include "protocol/inproc_transport.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using test::numbered_key;

Frames sized_frames(size_t header, size_t tensor) {
  return {ByteVector(header, std::byte{1}), ByteVector(tensor, std::byte{2})};
}

class InprocTransportTest : public testing::Test {
 protected:
  InprocNetwork network_;
  std::unique_ptr<InprocTransport> a_ = network_.endpoint(numbered_key(1));
  std::unique_ptr<InprocTransport> b_ = network_.endpoint(numbered_key(2));
};

TEST_F(InprocTransportTest, CarriesBothFramesAndTheSender) {
  ASSERT_TRUE(a_->send(numbered_key(2), Channel::kBulk, sized_frames(3, 5)).ok());
  EXPECT_FALSE(a_->receive({}).has_value());
  auto envelope = b_->receive({});
  ASSERT_TRUE(envelope.has_value());
  EXPECT_EQ(envelope->peer, numbered_key(1));
  EXPECT_EQ(envelope->channel, Channel::kBulk);
  EXPECT_EQ(envelope->frames.header, sized_frames(3, 5).header);
  EXPECT_EQ(envelope->frames.tensor, sized_frames(3, 5).tensor);
  EXPECT_FALSE(b_->receive({}).has_value());
}

TEST_F(InprocTransportTest, ComputeComesFirstAndOtherwiseInOrder) {
  for (auto [channel, size] : {std::pair{Channel::kBulk, 1},
                               {Channel::kJoin, 2},
                               {Channel::kCompute, 3},
                               {Channel::kCompute, 4}}) {
    ASSERT_TRUE(
        a_->send(numbered_key(2), channel, sized_frames(static_cast<size_t>(size), 0)).ok());
  }
  for (size_t expected : {3u, 4u, 1u, 2u}) {
    auto envelope = b_->receive({});
    ASSERT_TRUE(envelope.has_value());
    EXPECT_EQ(envelope->frames.header.size(), expected);
  }
}

TEST_F(InprocTransportTest, SendingToAVanishedPeerFails) {
  ASSERT_TRUE(a_->send(numbered_key(2), Channel::kCompute, sized_frames(1, 0)).ok());
  b_.reset();
  Status status = a_->send(numbered_key(2), Channel::kCompute, sized_frames(1, 0));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
  b_ = network_.endpoint(numbered_key(2));
  EXPECT_FALSE(b_->receive({}).has_value()) << "a restarted peer gets nothing from before";
  EXPECT_TRUE(a_->send(numbered_key(2), Channel::kCompute, sized_frames(1, 0)).ok());
}

TEST_F(InprocTransportTest, AFullQueueIsAnError) {
  Status status;
  size_t sent = 0;
  while ((status = a_->send(numbered_key(2), Channel::kCompute, {})).ok()) {
    ASSERT_LT(++sent, 1'000'000u);
  }
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
  ASSERT_TRUE(b_->receive({}).has_value());
  EXPECT_TRUE(a_->send(numbered_key(2), Channel::kCompute, {}).ok());
}

TEST_F(InprocTransportTest, CountsBytesOfTheComputeChannelAtBothEnds) {
  ASSERT_TRUE(a_->send(numbered_key(2), Channel::kCompute, sized_frames(10, 20)).ok());
  ASSERT_TRUE(a_->send(numbered_key(2), Channel::kBulk, sized_frames(1, 1)).ok());
  ASSERT_TRUE(a_->send(numbered_key(2), Channel::kJoin, sized_frames(1, 1)).ok());
  EXPECT_EQ(a_->compute_bytes(), 30u);
  EXPECT_EQ(b_->compute_bytes(), 0u);
  while (b_->receive({})) {
  }
  EXPECT_EQ(b_->compute_bytes(), 30u);
}

}  // namespace
}  // namespace potluck
