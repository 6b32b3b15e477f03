#include "coordinator/delivery/delivery.h"

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/experts/manifest_builder.h"
#include "engine/model/model.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::any_contains;
using test::peer;

class DeliveryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    storage_ = make_system_storage();
    auto model = Model::load(*storage_, test::data_path("arch/qwen3moe/model.gguf"), {});
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
    auto manifest = build_manifest(model_->cutter(), "qwen3moe");
    ASSERT_TRUE(manifest);
    manifest_ = std::make_unique<Manifest>(std::move(*manifest));
    SeededEntropy entropy(1);
    signing_key_ = std::make_unique<SigningKey>(SigningKey::generate(entropy));
    signed_ = sign_manifest(*manifest_, *signing_key_);
  }
  static void TearDownTestSuite() {
    manifest_.reset();
    signing_key_.reset();
    model_.reset();
    storage_.reset();
  }

  DeliveryTest() : delivery_(signed_, *manifest_, model_->cutter(), clock_) {}

  FetchGrain fetch(GrainId id) const { return {manifest_->digest_of(id), id}; }

  static BulkData data(const OutgoingMessage& outgoing) {
    return std::get<BulkData>(outgoing.message);
  }

  static std::unique_ptr<Storage> storage_;
  static std::unique_ptr<Model> model_;
  static std::unique_ptr<Manifest> manifest_;
  static std::unique_ptr<SigningKey> signing_key_;
  static SignedManifest signed_;
  ManualClock clock_;
  Delivery delivery_;
};

std::unique_ptr<Storage> DeliveryTest::storage_;
std::unique_ptr<Model> DeliveryTest::model_;
std::unique_ptr<Manifest> DeliveryTest::manifest_;
std::unique_ptr<SigningKey> DeliveryTest::signing_key_;
SignedManifest DeliveryTest::signed_;

TEST_F(DeliveryTest, DeliversTheSignedManifest) {
  EXPECT_TRUE(delivery_.idle());
  EXPECT_TRUE(delivery_.on_message(peer(1), FetchManifest{manifest_->digest()}, true));
  EXPECT_FALSE(delivery_.idle());
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(10);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].peer, peer(1));
  EXPECT_EQ(parts[0].channel, Channel::kBulk);
  EXPECT_TRUE(data(parts[0]).found);
  EXPECT_EQ(data(parts[0]).total, parts[0].tensor.size());
  SignedManifest received{parts[0].tensor, data(parts[0]).signature};
  Result<Manifest> verified = verify_manifest(received, signing_key_->public_key());
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->digest(), manifest_->digest());
  EXPECT_TRUE(delivery_.idle());
}

TEST_F(DeliveryTest, AnotherManifestIsNotFound) {
  delivery_.on_message(peer(1), FetchManifest{test::sample_digest(5)}, true);
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(10);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_FALSE(data(parts[0]).found);
  EXPECT_EQ(data(parts[0]).digest, test::sample_digest(5));
  EXPECT_TRUE(parts[0].tensor.empty());
}

TEST_F(DeliveryTest, DeliversEveryGrainAsTheManifestNamesIt) {
  size_t grains = 0;
  for (const ManifestLayer& layer : manifest_->layers()) {
    for (uint16_t expert = 0; expert < layer.experts; ++expert) {
      for (uint16_t grain = 0; grain < layer.plan.grains; ++grain) {
        GrainId id{static_cast<uint16_t>(layer.layer), expert, grain};
        delivery_.on_message(peer(1), fetch(id), true);
        std::vector<OutgoingMessage> parts = delivery_.take_outgoing(2);
        ASSERT_EQ(parts.size(), 1u);
        EXPECT_TRUE(data(parts[0]).found);
        EXPECT_EQ(data(parts[0]).offset, 0u);
        EXPECT_EQ(data(parts[0]).total, manifest_->grain_bytes(id));
        EXPECT_EQ(sha256(parts[0].tensor), manifest_->digest_of(id));
        ++grains;
      }
    }
  }
  EXPECT_GT(grains, 40u);
  EXPECT_EQ(delivery_.bytes_delivered(), manifest_->total_bytes());
}

TEST_F(DeliveryTest, OnlyWhatTheManifestNamesIsCut) {
  GrainId good{0, 0, 0};
  for (GrainId id : {GrainId{9, 0, 0}, GrainId{0, 8, 0}, GrainId{0, 0, 7},
                     GrainId{65535, 65535, 65535}, GrainId{0, 1, 0}}) {
    // The last one exists, but is not what the digest names.
    delivery_.on_message(peer(1), FetchGrain{manifest_->digest_of(good), id}, true);
    std::vector<OutgoingMessage> parts = delivery_.take_outgoing(10);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_FALSE(data(parts[0]).found);
    EXPECT_EQ(data(parts[0]).digest, manifest_->digest_of(good));
    EXPECT_TRUE(parts[0].tensor.empty());
  }
  EXPECT_TRUE(any_contains(delivery_.take_notices(), "manifest does not say"));
}

TEST_F(DeliveryTest, StrangersGetNothing) {
  EXPECT_TRUE(delivery_.on_message(peer(1), fetch({0, 0, 0}), false));
  EXPECT_TRUE(delivery_.on_message(peer(1), FetchManifest{manifest_->digest()}, false));
  EXPECT_TRUE(delivery_.idle());
  EXPECT_TRUE(delivery_.take_outgoing(10).empty());
}

TEST_F(DeliveryTest, OtherVerbsAreNotForUs) {
  EXPECT_FALSE(delivery_.on_message(peer(1), Heartbeat{}, true));
  EXPECT_FALSE(delivery_.on_message(peer(1), BulkData{}, true));
}

TEST_F(DeliveryTest, SendsNoMorePartsThanAskedFor) {
  for (uint16_t expert = 0; expert < 5; ++expert) {
    delivery_.on_message(peer(1), fetch({0, expert, 0}), true);
  }
  EXPECT_EQ(delivery_.take_outgoing(0).size(), 0u);
  EXPECT_EQ(delivery_.take_outgoing(3).size(), 3u);
  EXPECT_EQ(delivery_.take_outgoing(3).size(), 2u);
}

TEST_F(DeliveryTest, TheSameQuestionTwiceIsAnsweredOnce) {
  delivery_.on_message(peer(1), fetch({0, 0, 0}), true);
  delivery_.on_message(peer(1), fetch({0, 0, 0}), true);
  delivery_.on_message(peer(2), fetch({0, 0, 0}), true);
  EXPECT_EQ(delivery_.take_outgoing(10).size(), 2u);
  delivery_.on_message(peer(1), fetch({0, 0, 0}), true);
  EXPECT_EQ(delivery_.take_outgoing(10).size(), 1u);
}

TEST_F(DeliveryTest, ForgetsWhatALostPeerWanted) {
  delivery_.on_message(peer(1), fetch({0, 0, 0}), true);
  delivery_.on_message(peer(2), fetch({0, 0, 1}), true);
  delivery_.on_message(peer(1), fetch({0, 1, 0}), true);
  delivery_.forget(peer(1));
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(10);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].peer, peer(2));
}

TEST_F(DeliveryTest, OnePeerCannotFillTheQueueOfTheOthers) {
  for (uint64_t i = 0; i < 10'000; ++i) {
    delivery_.on_message(peer(1), FetchGrain{test::sample_digest(i), {0, 0, 0}}, true);
  }
  delivery_.on_message(peer(2), fetch({0, 0, 0}), true);
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(20'000);
  EXPECT_EQ(parts.size(), limits::kBulkPartsAsked + 1);
  EXPECT_EQ(parts[1].peer, peer(2));  // peers take turns
  EXPECT_TRUE(data(parts[1]).found);
  EXPECT_TRUE(delivery_.idle());
}

// No matter what is asked for, or how often: nothing is sent that was given up.
TEST_F(DeliveryTest, RepeatedRequestsForAWholeAreAnsweredOnce) {
  FetchGrain grain = fetch({0, 0, 0});
  for (int round = 0; round < 100; ++round) {
    for (uint64_t offset = 0; offset < 4; ++offset) {
      grain.offset = offset * 100;
      grain.length = round % 2 == 0 ? 100 : 50;
      delivery_.on_message(peer(1), grain, true);
    }
  }
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(1000);
  ASSERT_EQ(parts.size(), 4u);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(data(parts[i]).offset, i * 100);
    EXPECT_EQ(parts[i].tensor.size(), 50u);
  }
}

TEST_F(DeliveryTest, PartsBeyondTheEndAreNotFound) {
  FetchGrain grain = fetch({0, 0, 0});
  uint64_t total = manifest_->grain_bytes({0, 0, 0});
  for (uint64_t offset : {total, total + 1, uint64_t{limits::kBulkBytes - 1}, UINT64_MAX}) {
    grain.offset = offset;
    delivery_.on_message(peer(1), grain, true);
    std::vector<OutgoingMessage> parts = delivery_.take_outgoing(10);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_FALSE(data(parts[0]).found);
    EXPECT_LE(data(parts[0]).offset, data(parts[0]).total);
  }
  grain.offset = total - 1;
  delivery_.on_message(peer(1), grain, true);
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(10);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].tensor.size(), 1u);
}

TEST_F(DeliveryTest, WhatTheWayToAPeerDoesNotTakeWaitsInOrder) {
  FetchGrain grain = fetch({0, 0, 0});
  for (uint64_t offset = 0; offset < 4; ++offset) {
    grain.offset = offset * 100;
    grain.length = 100;
    delivery_.on_message(peer(1), grain, true);
  }
  delivery_.on_message(peer(2), grain, true);
  std::vector<uint64_t> sent;
  for (int turn = 0; turn < 10; ++turn) {
    int taken = 0;  // the way takes one part a turn
    for (OutgoingMessage& part : delivery_.take_outgoing(3)) {
      if (part.peer == peer(1) && taken++ > 0) {
        delivery_.not_sent(part, false);
      } else if (part.peer == peer(1)) {
        sent.push_back(data(part).offset);
      }
    }
    EXPECT_LE(delivery_.next_part().value_or(clock_.now()), clock_.now() + BulkQueue::kFullPause);
    clock_.advance(BulkQueue::kFullPause);
  }
  EXPECT_EQ(sent, (std::vector<uint64_t>{0, 100, 200, 300}));
  EXPECT_EQ(delivery_.bytes_delivered(), 500u);
  EXPECT_TRUE(delivery_.idle());
}

TEST_F(DeliveryTest, APeerThatIsGoneIsForgotten) {
  for (uint16_t expert = 0; expert < 5; ++expert) {
    delivery_.on_message(peer(1), fetch({0, expert, 0}), true);
  }
  std::vector<OutgoingMessage> parts = delivery_.take_outgoing(1);
  ASSERT_EQ(parts.size(), 1u);
  delivery_.not_sent(parts[0], true);
  EXPECT_TRUE(delivery_.idle());
  EXPECT_EQ(delivery_.bytes_delivered(), 0u);
}

// Refusals go out on the bulk channel, too.
TEST_F(DeliveryTest, ARefusalThatCouldNotBeSentIsNoPart) {
  delivery_.on_message(peer(1), fetch({0, 0, 0}), true);
  ASSERT_EQ(delivery_.take_outgoing(10).size(), 1u);
  uint64_t delivered = delivery_.bytes_delivered();
  delivery_.not_sent({peer(1), Channel::kBulk, Refusal{}, {}}, true);
  EXPECT_EQ(delivery_.bytes_delivered(), delivered);
}

TEST_F(DeliveryTest, KeepsToItsRateAndMakesWayForWork) {
  constexpr uint64_t kRate = 80 * kKiB;
  Delivery delivery(signed_, *manifest_, model_->cutter(), clock_, kRate);
  auto sent_in = [&](Duration time, bool working) {
    uint64_t before = delivery.bytes_delivered();
    for (TimePoint end = clock_.now() + time; clock_.now() < end;) {
      for (uint16_t expert = 0; expert < 8; ++expert) {
        delivery.on_message(peer(1), fetch({0, expert, 0}), true);
      }
      if (working) delivery.work_seen();
      delivery.take_outgoing(4);
      TimePoint next = delivery.next_part().value_or(end);
      clock_.set(std::min({end, next, clock_.now() + std::chrono::milliseconds(100)}));
    }
    return static_cast<double>(delivery.bytes_delivered() - before);
  };
  sent_in(std::chrono::seconds(5), false);
  double idle = sent_in(std::chrono::seconds(50), false);
  EXPECT_NEAR(idle, 50.0 * kRate, 3.0 * kRate);
  sent_in(std::chrono::seconds(5), true);
  double working = sent_in(std::chrono::seconds(50), true);
  EXPECT_NEAR(working, 50.0 * kRate / 8, 2.0 * kRate);
}

// A manifest larger than a part, made of nothing but digests.
TEST(DeliveryParts, LargeContentComesInParts) {
  Manifest large = test::sample_manifest(10, 2048);
  SeededEntropy entropy(1);
  SignedManifest signed_manifest = sign_manifest(large, SigningKey::generate(entropy));
  ASSERT_GT(signed_manifest.body.size(), limits::kBulkPartBytes);
  auto storage = make_system_storage();
  auto model = Model::load(*storage, test::data_path("arch/qwen3moe/model.gguf"), {});
  ASSERT_TRUE(model);
  ManualClock clock;
  Delivery delivery(signed_manifest, large, (*model)->cutter(), clock, UINT64_MAX);
  ByteVector received;
  while (received.size() < signed_manifest.body.size()) {
    delivery.on_message(peer(1), FetchManifest{large.digest(), received.size()}, true);
    std::vector<OutgoingMessage> parts = delivery.take_outgoing(9);
    ASSERT_EQ(parts.size(), 1u);
    const auto& part = std::get<BulkData>(parts[0].message);
    EXPECT_EQ(part.offset, received.size());
    EXPECT_EQ(part.total, signed_manifest.body.size());
    EXPECT_EQ(part.signature, signed_manifest.signature);
    EXPECT_LE(parts[0].tensor.size(), limits::kBulkPartBytes);
    ASSERT_FALSE(parts[0].tensor.empty());
    received.insert(received.end(), parts[0].tensor.begin(), parts[0].tensor.end());
    EXPECT_TRUE(delivery.idle());
  }
  EXPECT_EQ(received, signed_manifest.body);
}

// The manifest speaks of other bytes than the file holds: nothing wrong is sent.
TEST(DeliveryParts, AnAlteredModelFileIsNoticed) {
  auto storage = make_system_storage();
  auto model = Model::load(*storage, test::data_path("arch/qwen3moe/model.gguf"), {});
  ASSERT_TRUE(model);
  auto honest = build_manifest((*model)->cutter(), "m");
  ASSERT_TRUE(honest);
  std::vector<ManifestLayer> layers(honest->layers().begin(), honest->layers().end());
  layers[0].grains[1] = test::sample_digest(6);
  Manifest manifest("m", layers);
  SignedManifest signed_manifest{manifest.encode(), {}};
  ManualClock clock;
  Delivery delivery(signed_manifest, manifest, (*model)->cutter(), clock);
  auto layer = static_cast<uint16_t>(layers[0].layer);
  delivery.on_message(peer(1), FetchGrain{test::sample_digest(6), {layer, 0, 1}}, true);
  std::vector<OutgoingMessage> parts = delivery.take_outgoing(5);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_FALSE(std::get<BulkData>(parts[0].message).found);
  EXPECT_TRUE(any_contains(delivery.take_notices(), "altered"));
}

}  // namespace
}  // namespace potluck
