// A worker that belongs to an honest pool and to one whose coordinator is not: what the second says
// costs the first nothing, and what it makes the worker keep is bounded.
#include <chrono>
#include <ctime>
#include <set>

#include <malloc.h>

#include "tests/support/numbered_key.h"
#include "tests/unit/worker/worker_harness.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;

uint64_t heap_bytes() {
  struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

ManifestLayer layer_of(uint32_t number, uint32_t experts, ExpertShape shape) {
  ManifestLayer layer;
  layer.layer = number;
  layer.experts = experts;
  layer.shape = shape;
  layer.plan = plan_chunks(layer.shape);
  layer.grains.resize(size_t{experts} * layer.plan.grains);
  return layer;
}

constexpr ExpertShape kSmall = {32, 32, TensorType::kF32, TensorType::kF32, TensorType::kF32};
constexpr ExpertShape kLarger = {64, 32, TensorType::kF32, TensorType::kF32, TensorType::kF32};

// A coordinator that says what it likes.
class Liar {
 public:
  explicit Liar(WorkerHarness& worker) : worker_(worker), signing_(make_key()) {}

  void join() {
    PoolAddress address;
    address.coordinator = key;
    address.signing_key = signing_.public_key();
    address.compute_endpoint = "tcp://127.0.0.1:1";
    address.bulk_endpoint = "tcp://127.0.0.1:2";
    worker_.core().add_pool(address);
    welcome();
  }
  void set(const Manifest& manifest) {
    signed_manifest = sign_manifest(manifest, signing_);
    digest = sha256(signed_manifest.body);
  }
  void welcome() {
    say(Welcome{epoch, 1, digest, signed_manifest.body.size(), 1000});
    serve();
  }
  void say(Message message) { worker_.deliver(key, Channel::kCompute, std::move(message)); }
  void serve() {
    for (auto asked = worker_.take<FetchManifest>(key); !asked.empty();
         asked = worker_.take<FetchManifest>(key)) {
      const ByteVector& body = signed_manifest.body;
      for (uint64_t from = 0; from < body.size(); from += limits::kBulkPartBytes) {
        uint64_t end = std::min<uint64_t>(from + limits::kBulkPartBytes, body.size());
        BulkData data{digest, true, from, body.size(), signed_manifest.signature};
        worker_.deliver(key, Channel::kBulk, data,
                        ByteVector(body.begin() + static_cast<ptrdiff_t>(from),
                                   body.begin() + static_cast<ptrdiff_t>(end)));
      }
    }
  }
  Partial compute(uint32_t layer, uint32_t hidden, uint16_t expert) {
    Compute request;
    request.work = {epoch, next_request_++, layer, 0};
    request.columns = hidden;
    request.rows = {{10, {{expert, 0, 1.0f}}}};
    worker_.deliver(key, Channel::kCompute, request, ByteVector(hidden * sizeof(float)));
    auto answers = worker_.take<Partial>(key);
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? Partial{} : answers[0].message;
  }

  PeerKey key = numbered_key(66);
  uint64_t epoch = 9;
  SignedManifest signed_manifest;
  Digest digest;

 private:
  static SigningKey make_key() {
    SeededEntropy entropy(66);
    return SigningKey::generate(entropy);
  }

  WorkerHarness& worker_;
  SigningKey signing_;
  uint64_t next_request_ = 1;
};

class WorkerAttacks : public testing::Test {
 protected:
  // All grains of the honest pool, claimed for small experts of one grain each.
  Manifest claim_of_its_grains() {
    std::set<Digest> digests;
    for (const ManifestLayer& layer : model.manifest().layers()) {
      digests.insert(layer.grains.begin(), layer.grains.end());
    }
    ManifestLayer claim = layer_of(0, static_cast<uint32_t>(digests.size()), kSmall);
    claim.grains.assign(digests.begin(), digests.end());
    return Manifest("m", {claim});
  }
  void expect_honest_work() {
    SampleBatch batch = model.batch(0, 1, 2, 3);
    EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
  }

  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
};

TEST_F(WorkerAttacks, AnotherPoolsGrainsSurviveAComputeOfAnotherLength) {
  coordinator.fill(1, model.units(1));
  auto before = static_cast<uint16_t>(worker.store().count());
  Liar liar(worker);
  liar.set(claim_of_its_grains());
  liar.join();
  std::vector<UnitId> units;
  for (uint16_t expert = 0; expert < before; ++expert) units.push_back({0, expert, 0});
  liar.say(Assignment{liar.epoch, 1, 1, units});
  for (uint16_t expert = 0; expert < before; ++expert) {
    EXPECT_NE(liar.compute(0, 32, expert).status, PartialStatus::kOk);
  }
  EXPECT_EQ(worker.store().count(), before);
  EXPECT_EQ(worker.store().quarantined_bytes(), 0u);
  expect_honest_work();
}

TEST_F(WorkerAttacks, AnotherPoolsGrainsSurviveBeingServedWithAnotherLength) {
  coordinator.fill(1, model.units(1));
  auto before = static_cast<uint16_t>(worker.store().count());
  Liar liar(worker);
  Manifest claim = claim_of_its_grains();
  liar.set(claim);
  liar.join();
  liar.say(Roster{liar.epoch, 1, {{numbered_key(77), "", "k"}}});
  for (uint16_t expert = 0; expert < before; ++expert) {
    GrainId grain{0, expert, 0};
    worker.deliver(numbered_key(77), Channel::kServe, FetchGrain{claim.digest_of(grain), grain});
    worker.core().on_tick();
    worker.clock.advance(milliseconds(50));
    worker.core().on_tick();
    for (const auto& answer : worker.take<BulkData>(numbered_key(77))) {
      EXPECT_FALSE(answer.message.found);
    }
  }
  EXPECT_EQ(worker.store().count(), before);
  coordinator.say(Heartbeat{coordinator.epoch, 1, false});
  expect_honest_work();
}

TEST_F(WorkerAttacks, AManifestThatContradictsItselfEndsThatMembershipAndNoMore) {
  coordinator.fill(1, model.units(1));
  Liar liar(worker);
  ManifestLayer first = layer_of(0, 1, kSmall);
  ManifestLayer second = layer_of(1, 1, kLarger);
  first.grains[0] = second.grains[0] = sha256(as_bytes("one grain"));
  liar.set(Manifest("m", {first, second}));
  liar.join();
  EXPECT_NE(worker.notices().find("wrong manifest"), std::string::npos);
  EXPECT_EQ(worker.core().pools(), 1u);
  expect_honest_work();
}

TEST_F(WorkerAttacks, ManifestsCountAgainstTheDiskQuota) {
  worker.options.disk_bytes = 2 * kMiB;
  worker.restart();
  Liar liar(worker);
  auto manifest_of = [](uint32_t number, uint32_t experts) {
    ManifestLayer layer = layer_of(0, experts, kSmall);
    for (Digest& digest : layer.grains) store(reinterpret_cast<std::byte*>(&digest), number);
    return Manifest("m", {layer});
  };
  auto on_disk = [this] { return ManifestStore(worker.disk, "store").bytes(); };
  liar.set(manifest_of(0, 1000));
  liar.join();
  EXPECT_GT(on_disk(), 0u);
  for (uint32_t number = 1; number <= 60; ++number) {
    liar.set(manifest_of(number, number % 2 == 0 ? 4096 : 4000));
    liar.welcome();
    worker.forget_actions();
    ASSERT_LE(on_disk(), worker.options.disk_bytes);
    ASSERT_LE(worker.store().charged_bytes(), worker.options.disk_bytes);
    ASSERT_GE(worker.store().charged_bytes(), on_disk());
  }
  // It is the newest that is kept, and a start finds it.
  EXPECT_TRUE(ManifestStore(worker.disk, "store").load(liar.digest));
}

TEST_F(WorkerAttacks, AManifestThatDoesNotFitTheQuotaIsNotKept) {
  worker.options.disk_bytes = 64 * kKiB;
  worker.restart();
  Liar liar(worker);
  liar.set(Manifest("m", {layer_of(0, 4096, kSmall)}));
  liar.join();
  EXPECT_NE(worker.notices().find("will be fetched again next time"), std::string::npos);
  EXPECT_EQ(ManifestStore(worker.disk, "store").bytes(), 0u);
}

// 4.8 MB on the wire, six and a half million grains.
class HugeAssignment : public WorkerAttacks {
 protected:
  static constexpr uint32_t kLayers = 200;
  static constexpr uint32_t kExperts = 4096;

  static Manifest huge_manifest(uint32_t layers) {
    constexpr TensorType kType = TensorType::kQ4_0;
    std::vector<ManifestLayer> all;
    uint64_t number = 0;
    for (uint32_t i = 0; i < layers; ++i) {
      all.push_back(layer_of(i, kExperts, {32, 256, kType, kType, kType}));
      for (Digest& digest : all.back().grains) {
        store(reinterpret_cast<std::byte*>(&digest), mix64(++number));
      }
    }
    return Manifest("m", std::move(all));
  }
};

TEST_F(HugeAssignment, AManifestBeyondTheMemoryIsRefusedWhenItIsAnnounced) {
  worker.options.ram_bytes = 64 * kMiB;
  worker.restart();
  Liar liar(worker);
  liar.signed_manifest.body.resize(60 * kMiB);
  liar.join();
  EXPECT_EQ(worker.core().pools(), 0u);
  EXPECT_NE(worker.notices().find("--ram"), std::string::npos);
}

TEST_F(HugeAssignment, CostsLittleTimeAndMemory) {
  worker.options.ram_bytes = kGiB;
  worker.options.disk_bytes = kGiB;
  worker.restart();
  Liar liar(worker);
  liar.set(huge_manifest(kLayers / 8));
  liar.join();
  ASSERT_EQ(worker.core().pools(), 1u);
  Assignment assignment{liar.epoch, 1, 1, {}};
  for (uint16_t layer = 0; layer < kLayers / 8; ++layer) {
    for (uint16_t expert = 0; expert < kExperts; ++expert) {
      assignment.units.push_back({layer, expert, 0});
    }
  }
  size_t units = assignment.units.size();
  uint64_t before = heap_bytes();
  std::clock_t start = std::clock();  // of this process, however busy the machine is
  worker.core().on_message(liar.key, Channel::kCompute, std::move(assignment), {});
  double processor_seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  uint64_t after = heap_bytes();
  uint64_t grown = after - std::min(before, after);
  EXPECT_EQ(worker.core().status().at(0).units_assigned, units);
  EXPECT_LT(grown, units * 64) << "bytes a unit, at most";
  EXPECT_LT(processor_seconds, 1.0);
  RecordProperty("milliseconds", static_cast<int>(processor_seconds * 1000));
  RecordProperty("kib", static_cast<int>(grown / kKiB));
}

}  // namespace
}  // namespace potluck::test
