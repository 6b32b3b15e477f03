#include "coordinator/cluster/beacon_answerer.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

class BeaconAnswererTest : public testing::Test {
 protected:
  BeaconAnswererTest() { clock_.set(std::chrono::hours(1)); }

  static BeaconAnswer facts() { return {0, numbered_key(1), 7700, "kitchen"}; }
  static Datagram question(const std::string& host, uint64_t nonce = 5) {
    return {{host, 4000}, "eth0", true, encode_beacon(BeaconQuestion{nonce})};
  }

  ManualClock clock_;
  BeaconAnswerer answerer_{facts(), "", clock_};
};

TEST_F(BeaconAnswererTest, AQuestionIsAnsweredWithItsNonce) {
  auto answer = answerer_.on_datagram(question("10.0.0.2", 77));
  ASSERT_TRUE(answer);
  BeaconAnswer expected = facts();
  expected.nonce = 77;
  EXPECT_EQ(*decode_beacon(*answer), BeaconMessage(expected));
  EXPECT_LE(answer->size(), question("10.0.0.2").bytes.size());
}

TEST_F(BeaconAnswererTest, AnythingElseIsPassedOver) {
  Datagram other = question("10.0.0.2");
  other.bytes = encode_beacon(facts());
  EXPECT_FALSE(answerer_.on_datagram(other)) << "two coordinators never talk to each other";
  other.bytes = ByteVector(100);
  EXPECT_FALSE(answerer_.on_datagram(other));
  other.bytes.clear();
  EXPECT_FALSE(answerer_.on_datagram(other));
}

TEST_F(BeaconAnswererTest, OnlyItsOwnNetworksAreAnswered) {
  Datagram far = question("10.0.0.2");
  far.near = false;
  EXPECT_FALSE(answerer_.on_datagram(far));
  BeaconAnswerer loopback(facts(), "lo", clock_);
  EXPECT_FALSE(loopback.on_datagram(question("10.0.0.2")));
  Datagram near = question("127.0.0.1");
  near.interface = "lo";
  EXPECT_TRUE(loopback.on_datagram(near));
}

TEST_F(BeaconAnswererTest, AFloodFromOneAddressLeavesTheOthersAlone) {
  size_t answered = 0;
  for (int i = 0; i < 1000; ++i) {
    if (answerer_.on_datagram(question("10.0.0.2"))) ++answered;
  }
  EXPECT_EQ(answered, kBeaconBurst);
  EXPECT_TRUE(answerer_.on_datagram(question("10.0.0.3")));
  clock_.advance(kBeaconInterval);
  EXPECT_TRUE(answerer_.on_datagram(question("10.0.0.2")));
  EXPECT_FALSE(answerer_.on_datagram(question("10.0.0.2")));
  // Forged addresses do not fill memory, and an honest one is still answered.
  for (int i = 0; i < 100'000; ++i) (void)answerer_.on_datagram(question(std::to_string(i)));
  EXPECT_TRUE(answerer_.on_datagram(question("10.0.0.4")));
}

}  // namespace
}  // namespace potluck::test
