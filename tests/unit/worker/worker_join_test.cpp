// Joining, greeting, heartbeats, refusals, the manifest.
#include "engine/kernels/kernels.h"
#include "protocol/liveness.h"
#include "tests/unit/worker/worker_harness.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Test;

class WorkerJoin : public Test {
 protected:
  // Says what the sessions report, for comparing.
  std::string phase() {
    auto status = worker.core().status();
    return status.empty() ? "gone" : status.front().phase;
  }

  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
};

TEST_F(WorkerJoin, RedeemsAnInvitationAndGreets) {
  PoolAddress address;
  address.coordinator = coordinator.key();
  address.signing_key = coordinator.address().signing_key;
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  auto connections = worker.take_actions<ConnectChannel>();
  ASSERT_EQ(connections.size(), 1u);
  EXPECT_EQ(connections[0].channel, Channel::kJoin);
  EXPECT_EQ(connections[0].endpoint, "tcp://127.0.0.1:4000");
  auto request = worker.take_one<JoinRequest>(coordinator.key());
  EXPECT_EQ(request.channel, Channel::kJoin);
  EXPECT_EQ(request.message.secret, coordinator.invitation().secret);
  EXPECT_EQ(request.message.name, "bench");
  EXPECT_EQ(phase(), "joining");

  worker.deliver(coordinator.key(), Channel::kJoin, JoinAccept{"tcp://h:1", "tcp://h:2"});
  connections = worker.take_actions<ConnectChannel>();
  ASSERT_EQ(connections.size(), 2u);
  EXPECT_EQ(connections[0].channel, Channel::kCompute);
  EXPECT_EQ(connections[0].endpoint, "tcp://h:1");
  EXPECT_EQ(connections[1].channel, Channel::kBulk);
  EXPECT_EQ(connections[1].endpoint, "tcp://h:2");
  auto hello = worker.take_one<Hello>(coordinator.key());
  EXPECT_EQ(hello.message.protocol_version, kProtocolVersion);
  EXPECT_EQ(hello.message.arithmetic_version, kArithmeticVersion);
  EXPECT_EQ(hello.message.kernels, kernel_self_test(*available_kernels().front()));
  EXPECT_EQ(hello.message.ram_bytes, 64 * kMiB);
  EXPECT_EQ(phase(), "greeting");

  coordinator.welcome();
  EXPECT_EQ(phase(), "fetching manifest");
  coordinator.serve_bulk();
  EXPECT_EQ(phase(), "member");
  EXPECT_EQ(coordinator.manifests_asked(), 1u);
  EXPECT_EQ(worker.notices(), "");
}

TEST_F(WorkerJoin, AsksEverySecondUntilAnswered) {
  PoolAddress address = coordinator.address();
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  worker.pass(milliseconds(3500));
  EXPECT_EQ(worker.take<JoinRequest>(coordinator.key()).size(), 4u);
  worker.deliver(coordinator.key(), Channel::kJoin, JoinAccept{"tcp://h:1", "tcp://h:2"});
  // The answers to the other three: the invitation is used up by now.
  worker.deliver(coordinator.key(), Channel::kJoin,
                 Refusal{RefusalReason::kInvitation, "already used"});
  worker.pass(milliseconds(2500));
  EXPECT_EQ(worker.take<JoinRequest>(coordinator.key()).size(), 0u);
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 3u);
  coordinator.welcome();
  coordinator.serve_bulk();
  worker.pass(milliseconds(1500));
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 0u);
  EXPECT_EQ(phase(), "member");
}

TEST_F(WorkerJoin, ARefusedInvitationEndsTheMembership) {
  PoolAddress address;
  address.coordinator = coordinator.key();
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  worker.deliver(coordinator.key(), Channel::kJoin,
                 Refusal{RefusalReason::kInvitation, "the invitation has expired"});
  EXPECT_EQ(worker.notices(),
            "fatal: the coordinator refused the invitation: the invitation has expired\n");
  EXPECT_EQ(worker.take_actions<DisconnectPeer>().size(), 1u);
  EXPECT_EQ(worker.core().pools(), 0u);
  EXPECT_EQ(worker.core().next_tick(), TimePoint::max());
}

TEST_F(WorkerJoin, AUsedInvitationOfAKnownPoolLeadsToItsEndpoints) {
  PoolAddress address = coordinator.address();
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  worker.deliver(coordinator.key(), Channel::kJoin,
                 Refusal{RefusalReason::kInvitation, "already used"});
  worker.take_one<Hello>(coordinator.key());
  EXPECT_EQ(phase(), "greeting");
  worker.pass(seconds(20));
  EXPECT_EQ(phase(), "gone");
  std::string notices = worker.notices();
  EXPECT_NE(notices.find("fatal: the coordinator refused the invitation: already used; no answer"),
            std::string::npos)
      << notices;
}

TEST_F(WorkerJoin, NobodyAnswersAtTheEndpoints) {
  PoolAddress address;
  address.coordinator = coordinator.key();
  address.signing_key.fill(1);
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  worker.forget_actions();
  worker.deliver(coordinator.key(), Channel::kJoin,
                 JoinAccept{"tcp://127.0.0.1:4001", "tcp://127.0.0.1:4002"});
  EXPECT_EQ(worker.take_actions<ConnectChannel>().size(), 2u);
  worker.pass(seconds(29));
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 30u);
  // Connected anew twice: a refused handshake is not repeated by itself. Three times it would have
  // asked on the join channel where the others are.
  std::map<Channel, size_t> connected;
  for (const auto& made : worker.take_actions<ConnectChannel>()) ++connected[made.channel];
  EXPECT_EQ(connected, (std::map<Channel, size_t>{
                           {Channel::kCompute, 2}, {Channel::kBulk, 2}, {Channel::kJoin, 3}}));
  std::string notices = worker.notices();
  EXPECT_EQ(notices.find("fatal"), std::string::npos) << notices;
  // Said at 5, 10 and 20 seconds: a person who looks later finds out, too.
  for (const char* text : {"tcp://127.0.0.1:4001: no answer for 5 s", "no answer for 10 s",
                           "no answer for 20 s", "Is `potluck serve` running there"}) {
    EXPECT_NE(notices.find(text), std::string::npos) << text << " in: " << notices;
  }
  worker.pass(seconds(2));
  notices = worker.notices();
  EXPECT_NE(notices.find("fatal: no answer from tcp://127.0.0.1:4001 for 30 s"), std::string::npos)
      << notices;
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, ARefusedHelloEndsTheMembership) {
  worker.core().add_pool(coordinator.address());
  coordinator.say(Refusal{RefusalReason::kArithmetic, "self-test differs"});
  EXPECT_EQ(worker.notices(), "fatal: refused by the coordinator: self-test differs\n");
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, AMisunderstandingIsForgivenAFewTimes) {
  coordinator.admit();
  for (int i = 0; i < 4; ++i) coordinator.say(Refusal{RefusalReason::kProtocol, "who are you"});
  EXPECT_EQ(worker.notices().find("fatal"), std::string::npos);
  EXPECT_EQ(phase(), "greeting");
  coordinator.welcome();
  EXPECT_EQ(phase(), "member");
  for (int i = 0; i < 5; ++i) coordinator.say(Refusal{RefusalReason::kProtocol, "who are you"});
  EXPECT_NE(worker.notices().find("fatal: refused by the coordinator: who are you"),
            std::string::npos);
  EXPECT_EQ(phase(), "gone");
}

TEST_F(WorkerJoin, AGoodbyeIsAnOrderlyEnd) {
  coordinator.admit();
  worker.forget_actions();
  coordinator.say(Goodbye{coordinator.epoch, "done"});
  auto notices = worker.take_actions<Notice>();
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0].text, "the coordinator has ended: done");
  EXPECT_TRUE(notices[0].fatal);
  EXPECT_TRUE(notices[0].orderly);
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, SaysGoodbyeWhenItLeaves) {
  coordinator.admit();
  worker.core().leave_all();
  EXPECT_EQ(worker.take_one<Goodbye>(coordinator.key()).message.epoch, coordinator.epoch);
  EXPECT_EQ(worker.take_actions<DisconnectPeer>().size(), 1u);
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, HandsOverBeforeItLeaves) {
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  worker.core().leave_gently();
  EXPECT_TRUE(worker.take_one<Goodbye>(coordinator.key()).message.hand_over);
  EXPECT_EQ(phase(), "leaving");
  worker.core().leave_gently();
  EXPECT_EQ(worker.take<Goodbye>(coordinator.key()).size(), 0u) << "said once";
  for (int i = 0; i < 20; ++i) {
    worker.pass(seconds(1));
    coordinator.say(Heartbeat{coordinator.epoch, 1, true});
  }
  EXPECT_EQ(worker.take<Heartbeat>(coordinator.key()).size(), 40u) << "it is there as before";
  EXPECT_EQ(worker.take_actions<DisconnectPeer>().size(), 0u);
  worker.forget_actions();
  coordinator.say(Goodbye{coordinator.epoch, "others have its units"});
  auto notices = worker.take_actions<Notice>();
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0].text, "left the pool: others have its units");
  EXPECT_TRUE(notices[0].orderly);
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, WithNothingToHandOverItLeavesAtOnce) {
  coordinator.admit();
  worker.core().leave_gently();
  EXPECT_FALSE(worker.take_one<Goodbye>(coordinator.key()).message.hand_over);
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, DoesNotWaitForACoordinatorThatIsGone) {
  coordinator.fill(1, model.units(1));
  worker.core().leave_gently();
  worker.pass(kDeadAfter);
  EXPECT_EQ(worker.core().pools(), 0u);
  auto notices = worker.take_actions<Notice>();
  ASSERT_FALSE(notices.empty());
  EXPECT_TRUE(notices.back().orderly);
}

// It does not know what handing over is, and takes the Goodbye for one.
TEST_F(WorkerJoin, ACoordinatorOfAnEarlierVersionForgetsItAtOnce) {
  coordinator.fill(1, model.units(1));
  worker.core().leave_gently();
  coordinator.say(Heartbeat{0, 1, false});
  coordinator.welcome();
  coordinator.say(Heartbeat{0, 1, false});
  EXPECT_EQ(worker.core().pools(), 0u) << "it is not greeted without end";
}

// It was frozen for so long that the coordinator gave it up, and is asked to leave as soon as it is
// thawed: before it hears that it is no member any more, or after.
TEST_F(WorkerJoin, OneThatWasGivenUpComesBackToHandOver) {
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  worker.core().leave_gently();
  EXPECT_TRUE(worker.take_one<Goodbye>(coordinator.key()).message.hand_over);
  coordinator.say(Heartbeat{0, 1, false});
  worker.pass(seconds(1));
  EXPECT_GE(worker.take<Hello>(coordinator.key()).size(), 1u);
  coordinator.welcome();
  EXPECT_TRUE(worker.take_one<Goodbye>(coordinator.key()).message.hand_over);
  coordinator.say(Goodbye{coordinator.epoch, "others have its units"});
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, OneThatIsComingBackHandsOverWhenItIsThere) {
  coordinator.fill(1, model.units(1));
  coordinator.say(Heartbeat{0, 1, false});
  EXPECT_EQ(phase(), "greeting");
  worker.forget_actions();
  worker.core().leave_gently();
  EXPECT_EQ(phase(), "leaving");
  EXPECT_EQ(worker.take<Goodbye>(coordinator.key()).size(), 0u);
  coordinator.welcome();
  EXPECT_TRUE(worker.take_one<Goodbye>(coordinator.key()).message.hand_over);
}

TEST_F(WorkerJoin, OneThatHasLongBeenAloneLeavesAtOnce) {
  coordinator.fill(1, model.units(1));
  worker.pass(kDeadAfter + kDeadAfter + seconds(1));
  EXPECT_EQ(phase(), "greeting");
  worker.core().leave_gently();
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, BeatsEverySecondAndAnswersBeats) {
  coordinator.admit();
  for (int second = 0; second < 10; ++second) {
    worker.pass(seconds(1));
    EXPECT_EQ(worker.take<Heartbeat>(coordinator.key()).size(), 1u);
    coordinator.say(Heartbeat{coordinator.epoch, 1, false});
    EXPECT_EQ(worker.take<Heartbeat>(coordinator.key()).size(), 0u);
    coordinator.say(Heartbeat{coordinator.epoch, 2, true});
    auto reply = worker.take_one<Heartbeat>(coordinator.key());
    EXPECT_EQ(reply.message.epoch, coordinator.epoch);
    EXPECT_FALSE(reply.message.reply_wanted);
  }
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 0u);
}

TEST_F(WorkerJoin, GreetsASilentCoordinatorAgainWithoutEnd) {
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  worker.pass(seconds(3));
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 0u);
  auto beats = worker.take<Heartbeat>(coordinator.key());
  ASSERT_FALSE(beats.empty());
  EXPECT_TRUE(beats.back().message.reply_wanted);
  worker.pass(seconds(60));
  size_t hellos = worker.take<Hello>(coordinator.key()).size();
  EXPECT_GE(hellos, 58u);
  EXPECT_LE(hellos, 61u);
  // What it holds it still holds, and it answers for it meanwhile.
  SampleBatch batch = model.batch(SampleModel::kBlocks, 3, 2, 5);
  EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
  coordinator.welcome();
  EXPECT_EQ(phase(), "member");
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.ready.size(), model.units(1).size());
  EXPECT_EQ(coordinator.manifests_asked(), 1u);
}

TEST_F(WorkerJoin, AnotherEpochLeadsToAGreetingOnceASecond) {
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  worker.pass(milliseconds(1500));
  uint64_t old_epoch = coordinator.epoch;
  coordinator.epoch = 8;
  for (int i = 0; i < 20; ++i) coordinator.say(Heartbeat{8, 1, true});
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 1u);
  coordinator.welcome();
  EXPECT_EQ(phase(), "member");
  EXPECT_EQ(worker.core().status()[0].units_assigned, 0u);  // of the old epoch: void
  coordinator.say(Assignment{old_epoch, 99, 1, model.units(1)});
  EXPECT_EQ(worker.core().status()[0].units_assigned, 0u);
  worker.forget_actions();
  coordinator.welcome();
  coordinator.assign(1, 1, model.units(1));
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.epoch, 8u);
  EXPECT_EQ(report.message.version, 1u);
  EXPECT_EQ(report.message.ready.size(), model.units(1).size());
}

TEST_F(WorkerJoin, AnUnreachableCoordinatorIsGreetedOnceASecond) {
  coordinator.admit();
  worker.pass(milliseconds(1500));
  coordinator.say(Heartbeat{coordinator.epoch, 1, false});
  worker.forget_actions();
  for (int i = 0; i < 10; ++i) worker.core().on_unreachable(coordinator.key());
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 1u);
  worker.pass(seconds(3));
  EXPECT_EQ(worker.take<Hello>(coordinator.key()).size(), 3u);
}

TEST_F(WorkerJoin, AsksAtOnceWhenAConnectionIsMade) {
  PoolAddress address = coordinator.address();
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  worker.forget_actions();
  worker.core().on_connected(coordinator.key(), Channel::kJoin);
  worker.take_one<JoinRequest>(coordinator.key());
  worker.deliver(coordinator.key(), Channel::kJoin, JoinAccept{"tcp://h:1", "tcp://h:2"});
  worker.forget_actions();
  worker.core().on_connected(coordinator.key(), Channel::kCompute);
  worker.take_one<Hello>(coordinator.key());
  coordinator.welcome();
  worker.forget_actions();
  worker.core().on_connected(coordinator.key(), Channel::kBulk);
  EXPECT_GE(worker.take<FetchManifest>(coordinator.key()).size(), 1u);
}

TEST_F(WorkerJoin, ARefusedKeyEndsTheMembership) {
  worker.core().add_pool(coordinator.address());
  worker.core().on_refused(coordinator.key(), Channel::kCompute);
  EXPECT_NE(
      worker.notices().find("fatal: refused by the coordinator: it does not know this device"),
      std::string::npos);
  EXPECT_EQ(worker.core().pools(), 0u);
}

TEST_F(WorkerJoin, AClosedJoinChannelRefusesTheInvitation) {
  PoolAddress address;
  address.coordinator = coordinator.key();
  address.invitation = coordinator.invitation();
  worker.core().add_pool(address);
  worker.core().on_refused(coordinator.key(), Channel::kJoin);
  EXPECT_EQ(worker.notices(),
            "fatal: the coordinator refused the invitation: it has no open invitation left\n");
}

TEST_F(WorkerJoin, StrangersAreIgnored) {
  coordinator.admit();
  worker.forget_actions();
  PeerKey stranger;
  stranger.bytes.fill(99);
  worker.deliver(stranger, Channel::kCompute, Heartbeat{coordinator.epoch, 1, true});
  worker.deliver(stranger, Channel::kCompute, Goodbye{coordinator.epoch, "leave"});
  worker.core().on_unreachable(stranger);
  EXPECT_EQ(worker.core().take_actions().size(), 0u);
  EXPECT_EQ(phase(), "member");
}

// --- the manifest ---

class WorkerManifest : public WorkerJoin {
 protected:
  // Both sides are told why, and the membership is over.
  void expect_refused(const std::string& reason) {
    std::string notices = worker.notices();
    EXPECT_NE(notices.find("fatal: wrong manifest"), std::string::npos) << notices;
    EXPECT_NE(notices.find(reason), std::string::npos) << notices;
    auto goodbye = worker.take_one<Goodbye>(coordinator.key());
    EXPECT_NE(goodbye.message.text.find(reason), std::string::npos) << goodbye.message.text;
    EXPECT_EQ(goodbye.message.epoch, coordinator.epoch);
    EXPECT_EQ(phase(), "gone");
    EXPECT_FALSE(worker.disk.exists("store/manifests/" + coordinator.announced.hex()));
  }
};

TEST_F(WorkerManifest, AForeignSignatureIsRefused) {
  FakeCoordinator other(worker, model, 2);
  coordinator.signed_manifest.signature = other.signed_manifest.signature;
  coordinator.admit();
  expect_refused("signature");
}

TEST_F(WorkerManifest, AnotherDigestThanAnnouncedIsRefused) {
  coordinator.announced = sha256(as_bytes("something else"));
  coordinator.admit();
  expect_refused("SHA-256");
}

TEST_F(WorkerManifest, AnAlteredManifestIsRefused) {
  coordinator.signed_manifest.body[100] ^= std::byte{1};
  coordinator.announced = sha256(coordinator.signed_manifest.body);
  coordinator.admit();
  expect_refused("signature");
}

TEST_F(WorkerManifest, NonsenseThatThePoolSignedIsRefused) {
  SeededEntropy entropy(1);  // the coordinator's own key
  SigningKey key = SigningKey::generate(entropy);
  ByteVector body(5000, std::byte{0x11});
  coordinator.signed_manifest = {body, key.sign(body)};
  coordinator.announced = sha256(body);
  coordinator.admit();
  expect_refused("PLMANIF1");
}

TEST_F(WorkerManifest, AnImpossibleSizeIsRefused) {
  for (uint64_t bytes : {uint64_t{0}, 300 * kMiB, ~uint64_t{0}}) {
    worker.core().add_pool(coordinator.address());
    worker.forget_actions();
    coordinator.say(Welcome{coordinator.epoch, 1, coordinator.announced, bytes, 1000});
    expect_refused("announced with");
  }
}

TEST_F(WorkerManifest, MoreBytesThanAnnouncedAreNotKept) {
  coordinator.tamper = [](BulkData& data, ByteVector&) {
    data.total += 1;
    return true;
  };
  coordinator.admit();
  for (int i = 0; i < 5; ++i) {
    worker.pass(seconds(2));
    coordinator.say(Heartbeat{coordinator.epoch, 1, false});
    coordinator.serve_bulk();
  }
  expect_refused("announced with");
  EXPECT_EQ(coordinator.manifests_asked(), 5u);
}

TEST_F(WorkerManifest, ALostPartIsAskedForAgain) {
  int parts = 0;
  coordinator.tamper = [&](BulkData&, ByteVector&) { return ++parts != 2; };
  coordinator.part_bytes = 1000;
  coordinator.admit();  // the parts after it show that it is missing
  EXPECT_EQ(phase(), "member");
  EXPECT_EQ(coordinator.manifests_asked(), 1u);
}

TEST_F(WorkerManifest, ALostLastPartIsAskedForAgain) {
  int parts = 0;
  coordinator.tamper = [&](BulkData&, ByteVector&) { return ++parts != 4; };
  coordinator.part_bytes = 1000;
  coordinator.admit();
  ASSERT_EQ(parts, 4);
  EXPECT_EQ(phase(), "fetching manifest");
  for (int i = 0; i < 5; ++i) {
    worker.pass(seconds(1));
    coordinator.say(Heartbeat{coordinator.epoch, 1, false});
  }
  coordinator.serve_bulk();
  EXPECT_EQ(phase(), "member");
  EXPECT_EQ(coordinator.manifests_asked(), 1u);
}

TEST_F(WorkerManifest, ACoordinatorWithoutItsManifestIsGivenUp) {
  worker.core().add_pool(coordinator.address());
  coordinator.welcome();
  for (int i = 0; i < 5; ++i) {
    EXPECT_GE(worker.take<FetchManifest>(coordinator.key()).size(), 1u) << i;
    worker.deliver(coordinator.key(), Channel::kBulk, BulkData{coordinator.announced, false});
    worker.pass(seconds(2));
  }
  EXPECT_NE(worker.notices().find("fatal: the coordinator does not have"), std::string::npos);
  EXPECT_EQ(phase(), "gone");
}

TEST_F(WorkerManifest, IsKeptAcrossRestarts) {
  coordinator.admit();
  EXPECT_EQ(coordinator.manifests_asked(), 1u);
  worker.restart();
  coordinator.admit();
  EXPECT_EQ(coordinator.manifests_asked(), 1u);
  EXPECT_EQ(phase(), "member");
}

TEST_F(WorkerManifest, IsFetchedAgainWhenAlteredOnDisk) {
  coordinator.admit();
  for (uint64_t offset : {uint64_t{10}, uint64_t{200}}) {  // in the signature, in the body
    worker.disk.flip_bit("store/manifests/" + coordinator.announced.hex(), offset);
    worker.restart();
    coordinator.admit();
    EXPECT_EQ(phase(), "member");
  }
  EXPECT_EQ(coordinator.manifests_asked(), 3u);
}

TEST_F(WorkerManifest, OfTheSameModelIsVerifiedForEachPool) {
  coordinator.admit();
  FakeCoordinator second(worker, model, 2);
  second.admit();
  EXPECT_EQ(second.manifests_asked(), 1u);
  EXPECT_EQ(worker.core().pools(), 2u);
  EXPECT_EQ(worker.notices(), "");
}

}  // namespace
}  // namespace potluck::test
