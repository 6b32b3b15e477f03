#include "worker/beacon_search.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class BeaconSearchTest : public testing::Test {
 protected:
  BeaconSearchTest() : search_(entropy_, clock_) {
    auto question = search_.take_question();
    nonce_ = std::get<BeaconQuestion>(*decode_beacon(*question)).nonce;
  }

  Datagram answer(const PeerKey& key, const std::string& host, uint16_t port = 7700,
                  const std::string& name = "kitchen") const {
    return {{host, 7700}, "eth0", true, encode_beacon(BeaconAnswer{nonce_, key, port, name})};
  }

  ManualClock clock_;
  SeededEntropy entropy_{1};
  BeaconSearch search_;
  uint64_t nonce_ = 0;
};

TEST_F(BeaconSearchTest, AsksAgainEverMoreRarely) {
  EXPECT_FALSE(search_.take_question());
  std::vector<Duration> pauses;
  for (int i = 0; i < 6; ++i) {
    pauses.push_back(search_.next_question() - clock_.now());
    clock_.set(search_.next_question());
    ASSERT_TRUE(search_.take_question());
  }
  EXPECT_EQ(pauses, (std::vector<Duration>{milliseconds(250), milliseconds(500), seconds(1),
                                           seconds(2), seconds(2), seconds(2)}));
}

TEST_F(BeaconSearchTest, WhatAnswersIsFoundByAllItsAddresses) {
  EXPECT_FALSE(search_.settled());
  search_.on_datagram(answer(numbered_key(1), "192.168.1.7", 7800));
  search_.on_datagram(answer(numbered_key(1), "[fe80::7%eth0]", 7800));
  search_.on_datagram(answer(numbered_key(1), "192.168.1.7", 7800));
  search_.on_datagram(answer(numbered_key(2), "192.168.1.8", 7700, "attic"));
  ASSERT_EQ(search_.found().size(), 2u);
  EXPECT_EQ(search_.found()[0].name, "kitchen");
  EXPECT_EQ(search_.found()[0].endpoints,
            (std::vector<std::string>{"tcp://192.168.1.7:7800", "tcp://[fe80::7%eth0]:7800"}));
  EXPECT_EQ(search_.found()[1].coordinator, numbered_key(2));
  EXPECT_FALSE(search_.settled()) << "others may answer more slowly";
  clock_.advance(BeaconSearch::kEnough);
  EXPECT_TRUE(search_.settled());
}

TEST_F(BeaconSearchTest, WhatIsNoAnswerToUsIsPassedOver) {
  Datagram other = answer(numbered_key(1), "192.168.1.7");
  other.bytes = encode_beacon(BeaconAnswer{nonce_ + 1, numbered_key(1), 7700, "old"});
  search_.on_datagram(other);
  other.bytes = encode_beacon(BeaconQuestion{nonce_});
  search_.on_datagram(other);
  other.bytes = ByteVector(512, std::byte{0xff});
  search_.on_datagram(other);
  search_.on_datagram(answer(numbered_key(1), "no host at all"));
  search_.on_datagram(answer(numbered_key(1), ""));
  EXPECT_TRUE(search_.found().empty());
}

TEST_F(BeaconSearchTest, AFloodOfAnswersIsBoundedAndLeavesRoomForOthers) {
  for (uint8_t i = 0; i < 200; ++i) search_.on_datagram(answer(numbered_key(i), "10.0.0.66"));
  EXPECT_EQ(search_.found().size(), BeaconSearch::kMostPoolsPerHost);
  search_.on_datagram(answer(numbered_key(201), "10.0.0.1"));
  EXPECT_EQ(search_.found().back().coordinator, numbered_key(201));
  for (int i = 0; i < 1000; ++i) {
    search_.on_datagram(
        answer(numbered_key(static_cast<uint8_t>(i)), "10.1.0." + std::to_string(i)));
    search_.on_datagram(answer(numbered_key(201), "10.2.0." + std::to_string(i)));
  }
  EXPECT_EQ(search_.found().size(), BeaconSearch::kMostPools);
  for (const FoundPool& pool : search_.found()) {
    EXPECT_LE(pool.endpoints.size(), BeaconSearch::kMostEndpoints);
  }
}

}  // namespace
}  // namespace potluck::test
