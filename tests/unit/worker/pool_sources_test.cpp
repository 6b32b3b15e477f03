#include "worker/pool_sources.h"

#include "tests/unit/worker/session_bench.h"
#include "tests/unit/worker/small_model_file.h"

namespace potluck::test {
namespace {

class PoolSourcesTest : public SessionBench {
 protected:
  PoolSourcesTest() { sources.set_window(16 * kMiB); }

  static Roster roster(uint64_t version, std::initializer_list<uint8_t> numbers) {
    Roster roster{kEpoch, version, {}};
    for (uint8_t number : numbers) {
      roster.peers.push_back({numbered_key(number),
                              "tcp://10.0.0.1:" + std::to_string(7000 + number),
                              "w" + std::to_string(number)});
    }
    return roster;
  }
  void assign(std::vector<UnitId> units, std::vector<uint16_t> holders = {}) {
    Assignment wanted = assignment(1, std::move(units));
    wanted.roster = 1;
    if (!holders.empty()) wanted.holders.assign(wanted.units.size(), holders);
    sources.resolve_holders(&wanted);
    ASSERT_TRUE(delivery.assign(wanted, manifest));
    sources.restart();
  }
  void tick_and_request() {
    sources.on_tick(kEpoch);
    sources.request();
  }
  void answer(const PeerKey& from, const FetchGrain& fetch) {
    ByteVector whole = model.grain(fetch.grain);
    ByteSpan part = ByteSpan(whole).subspan(fetch.offset, fetch.length);
    sources.on_data(from, {fetch.digest, true, fetch.offset, whole.size(), {}}, part);
  }
  // The coordinator answers everything; how many grains.
  size_t serve() {
    std::set<Digest> grains;
    for (auto asked = sent<FetchGrain>(); !asked.empty(); asked = sent<FetchGrain>()) {
      for (const FetchGrain& fetch : asked) {
        answer(coordinator, fetch);
        grains.insert(fetch.digest);
      }
      sources.request();
    }
    return grains.size();
  }

  PoolSources sources{delivery, nullptr, link};
};

TEST_F(PoolSourcesTest, FetchesWhatIsAssignedAndReportsIt) {
  assign({kFirst, kSecond});
  tick_and_request();
  EXPECT_TRUE(sources.validate().ok());
  EXPECT_EQ(serve(), grains_of(kFirst).size() + grains_of(kSecond).size());
  EXPECT_TRUE(delivery.units().all_ready());
  EXPECT_TRUE(sources.validate().ok());
  sources.on_tick(kEpoch);
  EXPECT_EQ(sent<SourceReport>().size(), 1u);
  EXPECT_EQ(sources.next_tick(), std::nullopt);
}

TEST_F(PoolSourcesTest, WithoutAMembershipNothingIsOpenedOrTold) {
  assign({kFirst});
  sources.on_tick(std::nullopt);
  EXPECT_TRUE(delivery.units().any_waiting());
  EXPECT_FALSE(delivery.units().any_open());
  EXPECT_TRUE(actions.empty());
}

// Two pools of a worker share the store.
TEST_F(PoolSourcesTest, WhatCameForAnotherPoolIsNotAskedFor) {
  assign({kFirst});
  sources.on_tick(kEpoch);  // the unit is open now
  std::vector<GrainId> grains = grains_of(kFirst);
  for (GrainId grain : grains) {
    if (grain == grains.front()) continue;
    ASSERT_TRUE(store->put(manifest.digest_of(grain), model.grain(grain)).ok());
  }
  sources.request();
  EXPECT_EQ(serve(), 1u);
  EXPECT_TRUE(delivery.units().ready(kFirst));
}

TEST_F(PoolSourcesTest, HoldersCountWithTheirOwnRosterAlone) {
  sources.set_roster(roster(2, {11, 12}));
  Assignment named = assignment(1, {kFirst});
  named.roster = 2;
  named.holders = {{1, 0, 7}};  // there is no seventh
  Assignment other = named;
  other.roster = 1;
  sources.resolve_holders(&named);
  EXPECT_EQ(named.holders.at(0).size(), 2u);
  sources.resolve_holders(&other);
  EXPECT_TRUE(other.holders.empty());
}

TEST_F(PoolSourcesTest, AWorkerThatSendsWrongBytesIsToldOfAtOnceAndLeft) {
  PeerKey worker = numbered_key(11);
  sources.set_roster(roster(1, {11}));
  assign({kFirst}, {0});
  EXPECT_TRUE(sources.take_links_changed());
  tick_and_request();
  EXPECT_TRUE(sources.take_links_changed());
  EXPECT_TRUE(sources.is_connecting(worker));
  EXPECT_FALSE(sources.on_peer_link(numbered_key(12), LinkEvent::kConnected));
  EXPECT_TRUE(sources.on_peer_link(worker, LinkEvent::kConnected));
  sources.request();
  FetchGrain fetch = sent<FetchGrain>(worker).at(0);
  EXPECT_TRUE(sent<FetchGrain>().empty());
  BulkData wrong{fetch.digest, true, 0, 12, {}};
  EXPECT_TRUE(sources.on_data(worker, wrong, ByteVector(12)));
  EXPECT_TRUE(sources.take_links_changed());
  tick_and_request();
  std::vector<SourceReport> reports = sent<SourceReport>();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_TRUE(reports[0].peers.at(0).bad);
  std::map<PeerKey, std::string> connections;
  std::set<PeerKey> admitted;
  sources.collect_peers(&connections, &admitted);
  EXPECT_TRUE(connections.empty());
  EXPECT_EQ(admitted, std::set{worker});  // it may still fetch from us
  EXPECT_EQ(serve(), grains_of(kFirst).size());
}

// --- a model file of this device ---

class CuttingSources : public PoolSourcesTest {
 protected:
  // Two units of the first layer are assigned.
  void use(const Manifest& of) {
    auto layer = static_cast<uint16_t>(of.layers().front().layer);
    cutting.use_manifest(of);
    ASSERT_TRUE(delivery.assign(assignment(1, {{layer, 0, 0}, {layer, 2, 0}}), of));
    cutting.restart();
    cutting.request();
  }
  // Until nothing is due; how many ticks.
  size_t cut() {
    size_t ticks = 0;
    for (; cutting.next_tick() == clock.now(); ++ticks) cutting.on_tick(kEpoch);
    return ticks;
  }

  SmallModelFile file;
  PoolSources cutting{delivery, file.copy.get(), link};
};

TEST_F(CuttingSources, OneGrainATickUntilAllIsThereAndNothingIsAskedFor) {
  use(file.manifest);
  EXPECT_GE(cut(), 2 * file.manifest.layers().front().plan.grains);
  cutting.request();
  EXPECT_TRUE(sent<FetchGrain>().empty());
  EXPECT_TRUE(delivery.units().all_ready());
  MembershipStatus status;
  cutting.describe(&status);
  EXPECT_EQ(status.sources.file, store->used_bytes());
  EXPECT_EQ(status.sources.coordinator, 0u);
}

// The same shapes, other weights: what is cut tells.
TEST_F(CuttingSources, AFileWithOtherWeightsIsLeftAndTheGrainsAreFetched) {
  std::vector<ManifestLayer> layers(file.manifest.layers().begin(), file.manifest.layers().end());
  for (Digest& digest : layers.front().grains) digest.bytes[0] ^= 1;
  Manifest other("other", layers);
  use(other);
  cut();
  EXPECT_NE(notices().find("expert 0 has other weights: another model or quantization than other"),
            std::string::npos);
  EXPECT_EQ(store->count(), 0u);
  cutting.set_window(16 * kMiB);
  cutting.request();
  EXPECT_FALSE(sent<FetchGrain>().empty());
}

}  // namespace
}  // namespace potluck::test
