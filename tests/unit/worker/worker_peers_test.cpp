// Fetching from other workers and serving them, message by message.
#include <numeric>
#include <set>

#include "tests/support/grain_on_disk.h"
#include "tests/support/numbered_key.h"
#include "tests/support/test_files.h"
#include "tests/unit/worker/worker_harness.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerPeers : public testing::Test {
 protected:
  // Peers 11, 12, ..: workers "w11", "w12", .. that serve.
  static Roster roster(uint64_t version, std::initializer_list<uint8_t> numbers) {
    Roster roster{7, version, {}};
    for (uint8_t number : numbers) {
      roster.peers.push_back({numbered_key(number),
                              "tcp://10.0.0.1:" + std::to_string(7000 + number),
                              "w" + std::to_string(number)});
    }
    return roster;
  }
  // Two units, each held by every peer of the roster.
  void assign(uint64_t version, const Roster& roster, std::vector<UnitId> units) {
    Assignment assignment{7, version, 1, std::move(units), roster.version, {}};
    std::vector<uint16_t> all(roster.peers.size());
    std::iota(all.begin(), all.end(), uint16_t{0});
    assignment.holders.assign(assignment.units.size(), all);
    coordinator.say(assignment);
  }
  void start(std::initializer_list<uint8_t> numbers) {
    coordinator.admit();
    Roster peers = roster(1, numbers);
    coordinator.say(peers);
    assign(1, peers, {{0, 0, 0}, {2, 1, 0}});
  }
  void connect_all() {
    for (const ConnectPeer& peer : worker.take_actions<ConnectPeer>()) {
      worker.core().on_connected(peer.peer, Channel::kBulk);
    }
  }
  void answer(uint8_t number, const FetchGrain& fetch, ByteVector bytes) {
    BulkData data{fetch.digest, true, fetch.offset, bytes.size(), {}};
    ByteSpan rest = ByteSpan(bytes).subspan(fetch.offset);
    ByteSpan part = rest.first(std::min<uint64_t>(fetch.length, rest.size()));
    worker.deliver(numbered_key(number), Channel::kBulk, data, {part.begin(), part.end()});
  }
  // Answers everything that this peer is asked for; how much.
  size_t serve(uint8_t number) {
    size_t served = 0;
    for (auto asked = worker.take<FetchGrain>(numbered_key(number)); !asked.empty();
         asked = worker.take<FetchGrain>(numbered_key(number))) {
      for (auto& request : asked) {
        EXPECT_EQ(request.channel, Channel::kBulk);
        answer(number, request.message, model.grain(request.message.grain));
        ++served;
      }
    }
    return served;
  }
  MembershipStatus status() { return worker.core().status().at(0); }
  size_t asked_of_the_coordinator() { return worker.take<FetchGrain>(coordinator.key()).size(); }
  size_t grains() {
    return model.manifest().layer(0)->plan.grains + model.manifest().layer(2)->plan.grains;
  }

  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
};

TEST_F(WorkerPeers, FetchesFromThoseWhoHoldItAndNotFromTheCoordinator) {
  start({11, 12});
  EXPECT_EQ(asked_of_the_coordinator(), 0u);  // the connections are about to come
  auto connections = worker.take_actions<ConnectPeer>();
  ASSERT_EQ(connections.size(), 2u);
  EXPECT_EQ(connections[0].endpoint, "tcp://10.0.0.1:7011");
  for (const auto& peer : connections) worker.core().on_connected(peer.peer, Channel::kBulk);
  size_t first = worker.take<FetchGrain>(numbered_key(11)).size();
  size_t second = worker.take<FetchGrain>(numbered_key(12)).size();
  EXPECT_GT(first, 0u);
  EXPECT_GT(second, 0u);
  EXPECT_LE(first, 8u);
  EXPECT_LE(second, 8u);
  EXPECT_EQ(asked_of_the_coordinator(), 0u);
}

TEST_F(WorkerPeers, AccountsForEverySourceAndLetsGoAtTheEnd) {
  start({11, 12});
  connect_all();
  while (serve(11) + serve(12) > 0) {
  }
  EXPECT_EQ(status().units_ready, 2u);
  uint64_t total = worker.store().used_bytes();
  EXPECT_EQ(status().sources.coordinator, 0u);
  EXPECT_EQ(status().sources.peers.at("w11") + status().sources.peers.at("w12"), total);
  auto reports = worker.take<SourceReport>(coordinator.key());
  ASSERT_FALSE(reports.empty());
  const SourceReport& last = reports.back().message;
  ASSERT_EQ(last.peers.size(), 2u);
  EXPECT_EQ(last.peers[0].bytes + last.peers[1].bytes, total);
  EXPECT_FALSE(last.peers[0].bad || last.peers[1].bad);
  EXPECT_NE(worker.notices().find(" from w12"), std::string::npos);
  std::set<PeerKey> closed;
  for (const auto& gone : worker.take_actions<DisconnectPeer>()) closed.insert(gone.peer);
  EXPECT_EQ(closed, (std::set<PeerKey>{numbered_key(11), numbered_key(12)}));
}

TEST_F(WorkerPeers, WrongBytesDropThePeerForGood) {
  start({11, 12});
  connect_all();
  auto asked = worker.take<FetchGrain>(numbered_key(11));
  ASSERT_FALSE(asked.empty());
  ByteVector wrong = model.grain(asked[0].message.grain);
  wrong[100] ^= std::byte{1};
  Digest digest = asked[0].message.digest;
  for (; !asked.empty(); asked = worker.take<FetchGrain>(numbered_key(11))) {
    for (const auto& request : asked) {
      if (request.message.digest == digest) answer(11, request.message, wrong);
    }
  }
  auto report = worker.take_one<SourceReport>(coordinator.key());
  ASSERT_EQ(report.message.peers.size(), 1u);
  EXPECT_EQ(report.message.peers[0], (PeerSource{numbered_key(11), 0, true}));
  EXPECT_NE(worker.notices().find("w11"), std::string::npos);
  while (serve(12) > 0) {
  }
  EXPECT_EQ(status().units_ready, 2u);
  EXPECT_EQ(worker.take<FetchGrain>(numbered_key(11)).size(), 0u);
  // Not even when it is named again.
  Roster peers = roster(2, {11});
  coordinator.say(peers);
  assign(2, peers, {{5, 1, 0}});
  worker.pass(seconds(1));
  EXPECT_EQ(worker.take_actions<ConnectPeer>().size(), 0u);
  EXPECT_GT(asked_of_the_coordinator(), 0u);
}

TEST_F(WorkerPeers, ALengthThatContradictsTheManifestIsAsBad) {
  start({11});
  connect_all();
  auto asked = worker.take<FetchGrain>(numbered_key(11));
  ASSERT_FALSE(asked.empty());
  BulkData data{asked[0].message.digest, true, 0, 5, {}};
  worker.deliver(numbered_key(11), Channel::kBulk, data, ByteVector(5));
  EXPECT_TRUE(worker.take_one<SourceReport>(coordinator.key()).message.peers.at(0).bad);
  coordinator.serve_bulk();
  EXPECT_EQ(status().units_ready, 2u);
}

TEST_F(WorkerPeers, NotFoundGoesElsewhereWithoutBlame) {
  start({11, 12});
  connect_all();
  for (int round = 0; round < 20; ++round) {
    for (auto& request : worker.take<FetchGrain>(numbered_key(11))) {
      worker.deliver(numbered_key(11), Channel::kBulk,
                     BulkData{request.message.digest, false, 0, 0, {}}, {});
    }
    serve(12);
  }
  EXPECT_EQ(status().units_ready, 2u);
  EXPECT_EQ(status().sources.coordinator, 0u);
  EXPECT_EQ(status().sources.peers.count("w11"), 0u);
}

// It has lost one grain of its only unit, and falls silent after it has said so.
TEST_F(WorkerPeers, APartlyMissingUnitIsFinishedElsewhere) {
  coordinator.admit();
  Roster peers = roster(1, {11});
  coordinator.say(peers);
  assign(1, peers, {{0, 0, 0}});
  connect_all();
  auto asked = worker.take<FetchGrain>(numbered_key(11));
  ASSERT_GT(asked.size(), 1u);
  worker.deliver(numbered_key(11), Channel::kBulk,
                 BulkData{asked[0].message.digest, false, 0, 0, {}});
  for (int second = 0; second < 10; ++second) {
    worker.pass(seconds(1));
    coordinator.say(Heartbeat{7, 1, false});
    coordinator.serve_bulk();
  }
  EXPECT_EQ(status().units_ready, 1u);
  EXPECT_GT(worker.core().next_tick(), worker.clock.now());
}

// The same with a peer that sends what it has.
TEST_F(WorkerPeers, OneRottenGrainInEightCostsNoMoreThanThat) {
  start({11});
  connect_all();
  size_t sent = 0;
  for (int round = 0; round < 50; ++round) {
    for (auto& request : worker.take<FetchGrain>(numbered_key(11))) {
      if (request.message.grain.grain % 8 == 3) {
        worker.deliver(numbered_key(11), Channel::kBulk,
                       BulkData{request.message.digest, false, 0, 0, {}});
      } else {
        answer(11, request.message, model.grain(request.message.grain));
        ++sent;
      }
    }
    coordinator.serve_bulk();
  }
  EXPECT_EQ(status().units_ready, 2u);
  EXPECT_GT(sent, 0u);
}

TEST_F(WorkerPeers, AnAssignmentThatNamesNoHoldersFinishesWhatIsUnderWay) {
  start({11});
  connect_all();
  ASSERT_GT(worker.take<FetchGrain>(numbered_key(11)).size(), 0u);
  coordinator.say(Assignment{7, 2, 1, {{0, 0, 0}, {2, 1, 0}}});  // and the peer falls silent
  for (int second = 0; second < 10; ++second) {
    worker.pass(seconds(1));
    coordinator.say(Heartbeat{7, 1, false});
    coordinator.serve_bulk();
  }
  EXPECT_EQ(status().units_ready, 2u);
}

TEST_F(WorkerPeers, APeerThatMovesIsAskedAtItsNewPlace) {
  start({11});
  connect_all();
  ASSERT_GT(worker.take<FetchGrain>(numbered_key(11)).size(), 0u);
  Roster moved = roster(2, {11});
  moved.peers[0].bulk_endpoint = "tcp://10.0.0.2:9";
  coordinator.say(moved);
  auto connections = worker.take_actions<ConnectPeer>();
  ASSERT_EQ(connections.size(), 1u);
  EXPECT_EQ(connections[0].endpoint, "tcp://10.0.0.2:9");
  EXPECT_EQ(worker.take<FetchGrain>(numbered_key(11)).size(), 0u);
  worker.core().on_connected(numbered_key(11), Channel::kBulk);
  while (serve(11) > 0) {
  }
  EXPECT_EQ(status().units_ready, 2u);
}

// Both pools name the same worker: one connection serves both.
TEST_F(WorkerPeers, AConnectionOfOnePoolServesAnother) {
  SampleModel other{2};
  FakeCoordinator second{worker, other, 2};
  start({11});
  connect_all();
  second.admit();
  second.say(roster(1, {11}));
  second.say(Assignment{7, 1, 1, {{0, 2, 0}}, 1, {{0}}});
  size_t of_the_second = 0;
  for (auto asked = worker.take<FetchGrain>(numbered_key(11)); !asked.empty();
       asked = worker.take<FetchGrain>(numbered_key(11))) {
    for (auto& request : asked) {
      GrainId grain = request.message.grain;
      bool foreign = request.message.digest != model.manifest().digest_of(grain);
      of_the_second += foreign ? 1 : 0;
      answer(11, request.message, foreign ? other.grain(grain) : model.grain(grain));
    }
  }
  EXPECT_GT(of_the_second, 0u);
  for (const MembershipStatus& status : worker.core().status()) {
    EXPECT_EQ(status.units_ready, status.units_assigned);
  }
}

TEST_F(WorkerPeers, WhoCannotBeReachedIsReplacedByTheCoordinator) {
  start({11});
  worker.pass(milliseconds(1900));
  coordinator.say(Heartbeat{7, 1, false});
  EXPECT_EQ(asked_of_the_coordinator(), 0u);
  worker.pass(milliseconds(200));
  EXPECT_GT(asked_of_the_coordinator(), 0u);
  std::vector<DisconnectPeer> closed = worker.take_actions<DisconnectPeer>();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].peer, numbered_key(11));
}

TEST_F(WorkerPeers, ARefusedConnectionIsTriedAgain) {
  start({11});
  worker.take_actions<ConnectPeer>();
  worker.core().on_refused(numbered_key(11), Channel::kBulk);
  EXPECT_EQ(worker.take_actions<ConnectPeer>().size(), 0u);
  worker.pass(seconds(1));
  EXPECT_EQ(worker.take_actions<ConnectPeer>().size(), 1u);
}

TEST_F(WorkerPeers, SilenceMovesTheGrainsToAnother) {
  start({11, 12});
  connect_all();
  for (int second = 0; second < 6; ++second) {
    serve(12);
    worker.pass(seconds(1));
    coordinator.say(Heartbeat{7, 1, false});
  }
  serve(12);
  coordinator.serve_bulk();
  EXPECT_EQ(status().units_ready, 2u);
}

// What one peer has begun another one finishes; if the bytes are wrong then, neither is blamed,
// and the grain is fetched from one of them alone.
TEST_F(WorkerPeers, AGrainIsFinishedByAnotherWithoutBlame) {
  for (bool lies : {false, true}) {
    SCOPED_TRACE(lies);
    WorkerHarness fresh;
    FakeCoordinator honest{fresh, model, 1};
    honest.admit();
    Roster peers = roster(1, {11});
    honest.say(peers);
    Assignment assignment{7, 1, 1, {{0, 0, 0}}, 1, {{0}}};
    honest.say(assignment);
    fresh.core().on_connected(numbered_key(11), Channel::kBulk);
    auto asked = fresh.take<FetchGrain>(numbered_key(11));
    ASSERT_FALSE(asked.empty());
    ByteVector grain = model.grain(asked[0].message.grain);
    ByteVector begun(grain.begin(), grain.begin() + 1000);
    if (lies) begun[7] ^= std::byte{1};
    fresh.deliver(numbered_key(11), Channel::kBulk,
                  BulkData{asked[0].message.digest, true, 0, grain.size(), {}}, begun);
    fresh.core().on_unreachable(numbered_key(11));
    auto rest = fresh.take<FetchGrain>(honest.key());
    ASSERT_FALSE(rest.empty());
    EXPECT_EQ(rest[0].message.digest, asked[0].message.digest);
    EXPECT_EQ(rest[0].message.offset, 1000u);
    fresh.core().on_connected(honest.key(), Channel::kBulk);  // asks again for what was taken
    honest.serve_bulk();
    EXPECT_EQ(fresh.core().status().at(0).units_ready, 1u);
    EXPECT_EQ(fresh.notices().find("wrong bytes"), std::string::npos);
    auto reports = fresh.take<SourceReport>(honest.key());
    for (const auto& report : reports) {
      for (const PeerSource& source : report.message.peers) EXPECT_FALSE(source.bad);
    }
  }
}

TEST_F(WorkerPeers, APeerThatLeavesIsAskedNoMore) {
  start({11, 12});
  connect_all();
  coordinator.say(roster(2, {12}));
  worker.take<FetchGrain>(numbered_key(11));
  while (serve(12) > 0) {
  }
  EXPECT_EQ(status().units_ready, 2u);
  EXPECT_EQ(worker.take<FetchGrain>(numbered_key(11)).size(), 0u);
}

TEST_F(WorkerPeers, WhatAPeerWasNotAskedForIsNotTaken) {
  start({11, 12});
  connect_all();
  auto asked = worker.take<FetchGrain>(numbered_key(11));
  ASSERT_FALSE(asked.empty());
  size_t before = worker.store().count();
  answer(12, asked[0].message, model.grain(asked[0].message.grain));  // it is not its turn
  answer(77, asked[0].message, model.grain(asked[0].message.grain));  // an unknown peer
  EXPECT_EQ(worker.store().count(), before);
}

TEST_F(WorkerPeers, ACoordinatorsKeyIsNeverAWorkers) {
  coordinator.admit();
  Roster peers = roster(1, {1});  // names the coordinator itself
  coordinator.say(peers);
  assign(1, peers, {{0, 0, 0}});
  EXPECT_EQ(worker.take_actions<ConnectPeer>().size(), 0u);
}

TEST_F(WorkerPeers, HoldersOfAnotherRosterAreNoHolders) {
  coordinator.admit();
  coordinator.say(roster(1, {11}));
  assign(1, roster(9, {11}), {{0, 0, 0}});
  EXPECT_EQ(worker.take_actions<ConnectPeer>().size(), 0u);
  EXPECT_GT(asked_of_the_coordinator(), 0u);
}

TEST_F(WorkerPeers, HoldersMayComeBeforeTheManifest) {
  worker.core().add_pool(coordinator.address());
  coordinator.welcome();
  Roster peers = roster(1, {11});
  coordinator.say(peers);
  assign(1, peers, {{0, 0, 0}});
  coordinator.serve_bulk();
  EXPECT_EQ(coordinator.grains_asked().size(), 0u);
  EXPECT_EQ(worker.take_actions<ConnectPeer>().size(), 1u);
}

// --- serving ---

class WorkerServes : public WorkerPeers {
 protected:
  void SetUp() override {
    coordinator.fill(1, {{0, 0, 0}});
    coordinator.say(roster(1, {11, 12}));
    worker.forget_actions();
  }
  void ask(uint8_t number, GrainId grain) {
    worker.deliver(numbered_key(number), Channel::kServe,
                   FetchGrain{model.manifest().digest_of(grain), grain});
  }
  std::optional<WorkerHarness::Sent<BulkData>> answered(uint8_t number) {
    worker.core().on_tick();
    auto sent = worker.take<BulkData>(numbered_key(number));
    if (sent.empty()) return std::nullopt;
    EXPECT_EQ(sent.size(), 1u);  // a part a turn
    EXPECT_EQ(sent[0].channel, Channel::kServe);
    return std::move(sent[0]);
  }
};

TEST_F(WorkerServes, GivesWhatItHasToThoseWhoAreNamed) {
  ask(11, {0, 0, 1});
  EXPECT_LE(worker.core().next_tick(), worker.clock.now());
  auto answer = answered(11);
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->message.found);
  EXPECT_EQ(answer->tensor, model.grain({0, 0, 1}));
  EXPECT_EQ(worker.core().bytes_served(), answer->tensor.size());
}

TEST_F(WorkerServes, SaysSoWhenItHasNot) {
  ask(11, {2, 0, 0});
  auto answer = answered(11);
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->message.found);
  EXPECT_TRUE(answer->tensor.empty());
}

TEST_F(WorkerServes, StrangersGetNothing) {
  ask(13, {0, 0, 1});
  auto answer = answered(13);
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->message.found);
  EXPECT_TRUE(answer->tensor.empty());
}

TEST_F(WorkerServes, ADigestAndAPlaceThatDoNotBelongTogetherGetNothing) {
  GrainId grain{0, 0, 1};
  worker.deliver(numbered_key(11), Channel::kServe,
                 FetchGrain{model.manifest().digest_of(grain), {0, 0, 2}});
  auto answer = answered(11);
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->message.found);
  worker.deliver(numbered_key(11), Channel::kServe,
                 Heartbeat{7, 1, true});  // no verb of this channel
  EXPECT_FALSE(answered(11).has_value());
}

TEST_F(WorkerServes, AnAlteredDiskBecomesNoWrongAnswer) {
  auto place = test::grain_on_disk(worker.disk, "store", model.manifest().digest_of({0, 0, 1}));
  ASSERT_TRUE(place.has_value());
  worker.disk.flip_bit(place->path, place->offset + 77);
  ask(11, {0, 0, 1});
  auto answer = answered(11);
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->message.found);
}

// What serving finds out is news for computing.
TEST_F(WorkerServes, AnAlteredGrainIsFetchedAgain) {
  auto place = test::grain_on_disk(worker.disk, "store", model.manifest().digest_of({0, 0, 1}));
  ASSERT_TRUE(place.has_value());
  worker.disk.flip_bit(place->path, place->offset + 77);
  ask(11, {0, 0, 1});
  ASSERT_TRUE(answered(11).has_value());
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.lost, (std::vector<UnitId>{{0, 0, 0}}));
  coordinator.serve_bulk();
  EXPECT_EQ(worker.take_one<Residency>(coordinator.key()).message.ready,
            (std::vector<UnitId>{{0, 0, 0}}));
}

TEST_F(WorkerServes, AdmitsExactlyTheRoster) {
  coordinator.say(roster(2, {12, 14}));
  auto admitted = worker.take_actions<AdmitPeers>();
  ASSERT_EQ(admitted.size(), 1u);
  EXPECT_EQ(admitted[0].peers, (std::set<PeerKey>{numbered_key(12), numbered_key(14)}));
  coordinator.say(Goodbye{7, ""});
  admitted = worker.take_actions<AdmitPeers>();
  ASSERT_EQ(admitted.size(), 1u);
  EXPECT_TRUE(admitted[0].peers.empty());
}

// --- a model file of this device ---

class WorkerModel : public testing::Test {
 protected:
  static std::string path() { return test::data_path("arch/qwen3moe/model.gguf"); }

  SampleModel model{1};
  std::unique_ptr<Storage> storage = make_system_storage();
};

TEST_F(WorkerModel, TheFileOfAnotherModelIsNamedAndEverythingFetched) {
  auto copy = ModelCopy::open(*storage, path());
  ASSERT_TRUE(copy.ok()) << copy.error().message;
  HarnessOptions options;
  options.model = copy->get();
  WorkerHarness worker(options);
  FakeCoordinator coordinator(worker, model, 1);
  coordinator.fill(1, model.units(1));
  std::string notices = worker.notices();
  EXPECT_NE(notices.find("model.gguf: layer 0 has "), std::string::npos) << notices;
  EXPECT_NE(notices.find("another model or quantization"), std::string::npos) << notices;
  EXPECT_EQ(worker.core().status().at(0).units_ready, model.units(1).size());
}

TEST_F(WorkerModel, AFileThatIsNoneIsAnError) {
  auto copy = ModelCopy::open(*storage, "/no/such/file.gguf");
  ASSERT_FALSE(copy.ok());
  EXPECT_NE(copy.error().message.find("/no/such/file.gguf"), std::string::npos);
}

}  // namespace
}  // namespace potluck::test
