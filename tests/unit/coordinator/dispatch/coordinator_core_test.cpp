#include "coordinator/dispatch/coordinator_core.h"

#include <gtest/gtest.h>

#include "engine/experts/manifest_builder.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model.h"
#include "protocol/codec.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::answer_to;
using test::any_contains;
using test::NumberedBatch;
using test::peer;

constexpr uint64_t kEpoch = 31;

class CoordinatorCoreTest : public testing::Test {
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
    signed_ = sign_manifest(*manifest_, SigningKey::generate(entropy));
  }
  static void TearDownTestSuite() {
    manifest_.reset();
    model_.reset();
    storage_.reset();
  }

  CoordinatorCoreTest() {
    CoordinatorCoreOptions options;
    options.membership.epoch = kEpoch;
    options.membership.slices = 2;
    core_.emplace(options, signed_, *manifest_, model_->cutter(), allow_list_, invitations_,
                  clock_);
  }

  void tell(uint8_t number, const Message& message, Channel channel = Channel::kCompute,
            ByteVector tensor = {}) {
    core_->on_frames({peer(number), channel, {encode_header(message), std::move(tensor)}});
  }

  // Everything sent to any peer since the last call.
  std::vector<OutgoingMessage> sent() { return core_->take_outgoing(100); }

  template <class T>
  static std::vector<T> only(const std::vector<OutgoingMessage>& outgoing, uint8_t number) {
    std::vector<T> found;
    for (const OutgoingMessage& message : outgoing) {
      const T* wanted = std::get_if<T>(&message.message);
      if (message.peer == peer(number) && wanted != nullptr) found.push_back(*wanted);
    }
    return found;
  }

  static Hello hello() {
    Hello hello;
    hello.arithmetic_version = kArithmeticVersion;
    hello.name = "w";
    hello.disk_bytes = kGiB;
    return hello;
  }

  void join(uint8_t number) {
    ASSERT_TRUE(allow_list_.add(peer(number), "").ok());
    tell(number, hello());
  }

  void make_ready(uint8_t number) {
    const WorkerRecord& record = *core_->cluster().worker(peer(number));
    tell(number, Residency{kEpoch,
                           record.assignment_version,
                           {record.assigned.begin(), record.assigned.end()},
                           {}});
  }

  // One worker, everything ready, one batch submitted; returns its Compute.
  OutgoingMessage submit_to_one(NumberedBatch& work) {
    join(1);
    make_ready(1);
    sent();
    ticket_ = core_->dispatcher().submit(work.batch(), &work.sums);
    std::vector<OutgoingMessage> outgoing = sent();
    EXPECT_EQ(outgoing.size(), 1u);
    return outgoing.at(0);
  }

  void expect_refused(const Message& message, Channel channel) {
    uint64_t before = core_->intake().refused;
    tell(1, message, channel);
    EXPECT_EQ(core_->intake().refused, before + 1) << message_name(message);
    std::vector<Refusal> refusals = only<Refusal>(sent(), 1);
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_EQ(refusals[0].reason, RefusalReason::kProtocol);
  }

  static std::unique_ptr<Storage> storage_;
  static std::unique_ptr<Model> model_;
  static std::unique_ptr<Manifest> manifest_;
  static SignedManifest signed_;
  AllowList allow_list_;
  InvitationBook invitations_;
  ManualClock clock_;
  std::optional<CoordinatorCore> core_;
  uint64_t ticket_ = 0;
};

std::unique_ptr<Storage> CoordinatorCoreTest::storage_;
std::unique_ptr<Model> CoordinatorCoreTest::model_;
std::unique_ptr<Manifest> CoordinatorCoreTest::manifest_;
SignedManifest CoordinatorCoreTest::signed_;

TEST_F(CoordinatorCoreTest, FramesThatDoNotDecodeAreDropped) {
  join(1);
  sent();
  core_->on_frames({peer(1), Channel::kCompute, {}});
  core_->on_frames({peer(1), Channel::kBulk, {ByteVector(64, std::byte{0xff}), {}}});
  ByteVector cut = encode_header(hello());
  cut.resize(cut.size() / 2);
  core_->on_frames({peer(1), Channel::kCompute, {cut, {}}});
  EXPECT_EQ(core_->intake().undecodable, 3u);
  EXPECT_TRUE(sent().empty());
  EXPECT_TRUE(any_contains(core_->take_notices(), "dropped a message of peer"));
  EXPECT_NE(core_->cluster().worker(peer(1)), nullptr);
}

TEST_F(CoordinatorCoreTest, AlteredFramesDoNoHarm) {
  join(1);
  make_ready(1);
  NumberedBatch work(*manifest_, 0, 2, 2);
  core_->dispatcher().submit(work.batch(), &work.sums);
  CounterRandom random(5);
  const std::vector<Message> messages = {hello(),
                                         Partial{},
                                         Residency{kEpoch, 1, {{0, 0, 0}, {0, 1, 1}}, {{1, 0, 0}}},
                                         Goodbye{},
                                         Heartbeat{kEpoch, 1, true},
                                         FetchGrain{},
                                         FetchManifest{},
                                         JoinRequest{}};
  for (uint64_t i = 0; i < 4000; ++i) {
    ByteVector header = encode_header(messages[i % messages.size()]);
    for (uint64_t flips = 0; flips <= random.bits(i) % 4; ++flips) {
      header[random.bits(i, 1 + 2 * flips) % header.size()] ^=
          static_cast<std::byte>(random.bits(i, 2 + 2 * flips) & 0xff);
    }
    ByteVector tensor(random.bits(i, 20) % 3 * 7);
    auto channel = static_cast<Channel>(random.bits(i, 21) % 3);
    core_->on_frames({peer(1), channel, {std::move(header), std::move(tensor)}});
    core_->take_outgoing(4);
    core_->take_notices();
  }
}

TEST_F(CoordinatorCoreTest, EachChannelHasItsVerbs) {
  JoinAccept accept{"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"};
  join(1);
  sent();
  for (const Message& message :
       std::vector<Message>{Welcome{}, Refusal{}, Assignment{}, BulkData{}, FetchManifest{},
                            FetchGrain{}, accept, JoinRequest{}}) {
    expect_refused(message, Channel::kCompute);
  }
  for (const Message& message : std::vector<Message>{hello(), Residency{}, Partial{}, Heartbeat{},
                                                     Goodbye{}, JoinRequest{}, BulkData{}}) {
    expect_refused(message, Channel::kBulk);
  }
  for (const Message& message : std::vector<Message>{hello(), Residency{}, Partial{}, Heartbeat{},
                                                     Goodbye{}, FetchGrain{}, FetchManifest{}}) {
    expect_refused(message, Channel::kJoin);
  }
  EXPECT_NE(core_->cluster().worker(peer(1)), nullptr);
}

TEST_F(CoordinatorCoreTest, OnlyAnswersCarryATensor) {
  join(1);
  sent();
  tell(1, Heartbeat{kEpoch, 1, true}, Channel::kCompute, ByteVector(8));
  EXPECT_EQ(core_->intake().refused, 1u);
  EXPECT_TRUE(only<Heartbeat>(sent(), 1).empty());
}

TEST_F(CoordinatorCoreTest, AWorkerJoinsFetchesAndComputes) {
  SeededEntropy entropy(2);
  Invitation invitation = invitations_.issue({}, clock_.unix_seconds() + 60, entropy);
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  EXPECT_EQ(only<JoinAccept>(sent(), 1).size(), 1u);
  tell(1, hello());
  std::vector<OutgoingMessage> outgoing = sent();
  ASSERT_EQ(only<Welcome>(outgoing, 1).size(), 1u);
  Assignment assignment = only<Assignment>(outgoing, 1).at(0);
  EXPECT_EQ(assignment.units.size(), 3u * 8 * 2);

  tell(1, FetchManifest{only<Welcome>(outgoing, 1)[0].manifest}, Channel::kBulk);
  EXPECT_FALSE(core_->bulk_idle());
  EXPECT_TRUE(core_->take_outgoing(0).empty());
  outgoing = core_->take_outgoing(1);
  ASSERT_EQ(outgoing.size(), 1u);
  EXPECT_EQ(outgoing[0].tensor, signed_.body);
  tell(1, FetchGrain{manifest_->digest_of({0, 1, 1}), {0, 1, 1}}, Channel::kBulk);
  outgoing = core_->take_outgoing(1);
  ASSERT_EQ(outgoing.size(), 1u);
  EXPECT_EQ(sha256(outgoing[0].tensor), manifest_->digest_of({0, 1, 1}));
  EXPECT_TRUE(core_->bulk_idle());
  EXPECT_EQ(core_->bytes_delivered(), signed_.body.size() + outgoing[0].tensor.size());

  make_ready(1);
  EXPECT_EQ(core_->cluster().units_ready(), assignment.units.size());
  NumberedBatch work(*manifest_, 1, 3, 2);
  uint64_t ticket = core_->dispatcher().submit(work.batch(), &work.sums);
  outgoing = sent();
  ASSERT_EQ(outgoing.size(), 1u);
  test::Answer answer = answer_to(*manifest_, outgoing[0]);
  tell(1, answer.partial, Channel::kCompute, answer.tensor);
  EXPECT_TRUE(core_->dispatcher().done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST_F(CoordinatorCoreTest, StrangersAreServedNothing) {
  tell(5, FetchManifest{manifest_->digest()}, Channel::kBulk);
  tell(5, Partial{});
  tell(5, Residency{kEpoch, 1, {{0, 0, 0}}, {}});
  EXPECT_TRUE(core_->bulk_idle());
  EXPECT_TRUE(sent().empty());
  // An allowed key without a record is told to say Hello.
  ASSERT_TRUE(allow_list_.add(peer(5), "").ok());
  tell(5, Partial{});
  EXPECT_EQ(only<Heartbeat>(sent(), 5).size(), 1u);
  clock_.advance(seconds(1));
  tell(5, FetchManifest{manifest_->digest()}, Channel::kBulk);
  EXPECT_EQ(only<Heartbeat>(sent(), 5).size(), 1u);
  EXPECT_TRUE(core_->bulk_idle());
}

TEST_F(CoordinatorCoreTest, WorkOfAVanishedWorkerIsDoneElsewhereAtOnce) {
  NumberedBatch work(*manifest_, 0, 2, 2);
  OutgoingMessage compute = submit_to_one(work);
  core_->on_unreachable(peer(1), "connection closed");
  EXPECT_TRUE(core_->dispatcher().take_local_work());
  EXPECT_EQ(core_->cluster().workers_lost(), 1u);
  EXPECT_TRUE(any_contains(core_->take_notices(), "connection closed"));
}

TEST_F(CoordinatorCoreTest, WhatWasQueuedForALostWorkerIsNotSent) {
  join(1);
  make_ready(1);
  sent();
  NumberedBatch work(*manifest_, 0, 2, 2);
  core_->dispatcher().submit(work.batch(), &work.sums);
  core_->on_unreachable(peer(1), "connection closed");
  EXPECT_TRUE(only<Compute>(sent(), 1).empty());
}

TEST_F(CoordinatorCoreTest, AWorkerThatStartsAnewOwesNothing) {
  NumberedBatch work(*manifest_, 0, 2, 2);
  OutgoingMessage compute = submit_to_one(work);
  clock_.advance(kGreetingPause);
  tell(1, hello());
  EXPECT_TRUE(core_->dispatcher().take_local_work());
  EXPECT_EQ(core_->cluster().units_ready(), 0u);
  EXPECT_EQ(core_->cluster().workers_lost(), 0u);
  test::Answer answer = answer_to(*manifest_, compute);
  tell(1, answer.partial, Channel::kCompute, answer.tensor);
  EXPECT_EQ(core_->dispatcher().statistics().late_replies, 1u);
}

TEST_F(CoordinatorCoreTest, DeliveryEndsWithTheMembership) {
  join(1);
  join(2);
  tell(1, FetchGrain{manifest_->digest_of({0, 1, 1}), {0, 1, 1}}, Channel::kBulk);
  tell(1, Goodbye{kEpoch, ""});
  EXPECT_TRUE(core_->bulk_idle());
}

TEST_F(CoordinatorCoreTest, UnitsLostWhileComputingAreNoLongerReady) {
  NumberedBatch work(*manifest_, 0, 1, 2);
  OutgoingMessage compute = submit_to_one(work);
  uint64_t ready = core_->cluster().units_ready();
  const UnitCall& call = test::compute_of(compute).rows[0].calls[0];
  Partial partial;
  partial.work = test::compute_of(compute).work;
  partial.status = PartialStatus::kMissing;
  partial.lost = {{0, call.expert, call.slice}};
  tell(1, partial);
  EXPECT_EQ(core_->cluster().units_ready(), ready - 1);
  EXPECT_TRUE(core_->dispatcher().take_local_work());
}

TEST_F(CoordinatorCoreTest, ASilentWorkerIsProbedWhileItOwesAnAnswer) {
  NumberedBatch work(*manifest_, 0, 1, 2);
  OutgoingMessage compute = submit_to_one(work);
  TimePoint start = clock_.now();
  std::vector<Duration> probes;
  while (clock_.now() < start + milliseconds(300)) {
    TimePoint next = core_->next_tick();
    ASSERT_GT(next, clock_.now());
    clock_.set(next);
    core_->on_tick();
    if (!only<Heartbeat>(sent(), 1).empty()) probes.push_back(clock_.now() - start);
  }
  EXPECT_EQ(probes, (std::vector<Duration>{milliseconds(30), milliseconds(80), milliseconds(130),
                                           milliseconds(180), milliseconds(230), milliseconds(280),
                                           milliseconds(330)}));
  test::Answer answer = answer_to(*manifest_, compute);
  tell(1, answer.partial, Channel::kCompute, answer.tensor);
  EXPECT_TRUE(core_->dispatcher().done(ticket_));
  clock_.advance(milliseconds(200));
  core_->on_tick();
  EXPECT_TRUE(sent().empty());
}

TEST_F(CoordinatorCoreTest, ALateWorkerLosesItsWorkButNotItsMembership) {
  NumberedBatch work(*manifest_, 0, 1, 2);
  submit_to_one(work);
  TimePoint deadline = *core_->dispatcher().next_deadline();
  while (clock_.now() < deadline) {
    clock_.advance(milliseconds(100));
    core_->on_tick();
  }
  EXPECT_TRUE(core_->dispatcher().take_local_work());
  EXPECT_NE(core_->cluster().worker(peer(1)), nullptr);
  // It is given work again when it is heard from and has rested.
  core_->dispatcher().submit(work.batch(), &work.sums);
  EXPECT_TRUE(only<Compute>(sent(), 1).empty());
  tell(1, Heartbeat{kEpoch, 1, false});
  core_->dispatcher().submit(work.batch(), &work.sums);
  EXPECT_TRUE(only<Compute>(sent(), 1).empty());
  clock_.advance(seconds(1));
  core_->dispatcher().submit(work.batch(), &work.sums);
  EXPECT_EQ(only<Compute>(sent(), 1).size(), 1u);
}

TEST_F(CoordinatorCoreTest, WorkGoesOutBeforeEverythingElse) {
  join(1);
  make_ready(1);
  sent();
  tell(1, FetchManifest{manifest_->digest()}, Channel::kBulk);
  tell(1, Heartbeat{kEpoch, 1, true});
  NumberedBatch work(*manifest_, 0, 1, 2);
  core_->dispatcher().submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = sent();
  ASSERT_EQ(outgoing.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<Compute>(outgoing[0].message));
  EXPECT_TRUE(std::holds_alternative<Heartbeat>(outgoing[1].message));
  EXPECT_TRUE(std::holds_alternative<BulkData>(outgoing[2].message));
}

}  // namespace
}  // namespace potluck
