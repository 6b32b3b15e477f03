// Random messages of every kind, most of them nearly right: no matter what a coordinator says, the
// worker keeps running, and afterwards it still computes what a solo run computes.
#include <array>

#include "tests/unit/worker/worker_harness.h"

namespace potluck::test {
namespace {

class Babble {
 public:
  Babble(const SampleModel& model, FakeCoordinator& coordinator, uint64_t seed)
      : model_(model), coordinator_(coordinator), random_(seed) {}

  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }

  Message message(ByteVector* tensor) {
    switch (pick(14)) {
      case 0:
        return Hello{};
      case 1:
        return Welcome{epoch(), 1, pick(60) > 0 ? coordinator_.announced : digest(), size(), 1000};
      case 2:
        if (pick(40) > 0) return Heartbeat{epoch(), 1, true};
        return Refusal{static_cast<RefusalReason>(pick(6)), "no"};
      case 3:
        return assignment();
      case 4:
        return Residency{epoch(), pick(4), units(), units()};
      case 5:
      case 6:
      case 7:
        return compute(tensor);
      case 8:
        return Partial{};
      case 9:
        return Heartbeat{epoch(), pick(100), pick(2) == 0};
      case 10:
        return pick(50) == 0 ? Goodbye{epoch(), "bye"} : Goodbye{99, "bye"};
      case 11:
        return FetchGrain{digest(), {0, 0, 0}};
      case 12:
        return JoinAccept{"tcp://h:1", "tcp://h:2", {}, {}};
      default:
        return bulk(tensor);
    }
  }

 private:
  uint64_t epoch() { return pick(20) > 0 ? coordinator_.epoch : pick(3); }
  uint64_t size() {
    constexpr std::array<uint64_t, 4> kSizes = {0, 1, 1 << 30, ~0ull};
    return pick(60) > 0 ? coordinator_.signed_manifest.body.size() : kSizes[pick(4)];
  }
  GrainId grain() {
    const ManifestLayer& layer = model_.manifest().layers()[pick(3)];
    return {static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(pick(layer.experts)),
            static_cast<uint16_t>(pick(layer.plan.grains))};
  }
  Digest digest() {
    if (pick(10) == 0) return sha256(as_bytes(std::to_string(pick(1000))));
    return pick(20) == 0 ? coordinator_.announced : model_.manifest().digest_of(grain());
  }
  // Everything, or a few units that may not exist.
  Message assignment() {
    auto slices = static_cast<uint32_t>(1 + pick(2));
    if (pick(3) > 0) return Assignment{epoch(), 10, slices, model_.units(slices)};
    return Assignment{epoch(), pick(12), static_cast<uint32_t>(pick(5)), units()};
  }
  std::vector<UnitId> units() {
    std::vector<UnitId> units;
    for (uint64_t i = pick(6); i > 0; --i) {
      units.push_back({static_cast<uint16_t>(pick(20) == 0 ? pick(70000) : grain().layer),
                       static_cast<uint16_t>(pick(20) == 0 ? pick(70000) : pick(4)),
                       static_cast<uint16_t>(pick(20) == 0 ? pick(70000) : pick(2))});
    }
    return units;
  }
  Message compute(ByteVector* tensor) {
    auto slices = static_cast<uint32_t>(1 + pick(2));
    SampleBatch batch = model_.batch(model_.manifest().layers()[pick(3)].layer,
                                     static_cast<uint32_t>(1 + pick(3)), 2, pick(1000));
    Compute request = coordinator_.compute_message(batch, slices);
    *tensor = FakeCoordinator::frame_of(batch);
    if (pick(4) == 0) request.work.layer = static_cast<uint32_t>(pick(8));
    if (pick(8) == 0) request.rows[0].calls[0].expert = static_cast<uint16_t>(pick(70000));
    if (pick(8) == 0) request.rows[0].calls[0].slice = static_cast<uint16_t>(pick(70000));
    if (pick(8) == 0) request.columns = static_cast<uint32_t>(pick(1 << 20));
    if (pick(8) == 0) tensor->resize(pick(2 * tensor->size()));
    if (pick(8) == 0 && !tensor->empty()) (*tensor)[pick(tensor->size())] = std::byte{0x80};
    request.work.epoch = epoch();
    return request;
  }
  Message bulk(ByteVector* tensor) {
    GrainId id = grain();
    ByteVector bytes = model_.grain(id);
    BulkData data{model_.manifest().digest_of(id), pick(5) > 0, 0, bytes.size(), {}};
    if (pick(4) == 0) data.offset = pick(2) == 0 ? pick(bytes.size() + 2) : ~0ull - pick(3);
    if (pick(4) == 0) data.total = pick(2) == 0 ? pick(1 << 20) : ~0ull;
    if (pick(4) == 0) bytes.resize(pick(bytes.size() + 2));
    if (pick(10) == 0) data.digest = coordinator_.announced;
    *tensor = std::move(bytes);
    return data;
  }

  const SampleModel& model_;
  FakeCoordinator& coordinator_;
  CounterRandom random_;
  uint64_t position_ = 0;
};

TEST(WorkerRandom, SurvivesAnyMessages) {
  constexpr uint64_t kSeed = 20240607;
  SampleModel model(1);
  HarnessOptions options;
  options.ram_bytes = 8 * model.manifest().largest_grain_bytes();
  options.disk_bytes = 90 * model.manifest().largest_grain_bytes();
  WorkerHarness worker(options);
  FakeCoordinator coordinator(worker, model, 1);
  Babble babble(model, coordinator, kSeed);
  uint64_t ended = 0;
  std::array<uint64_t, 4> answers{};  // by status
  for (int i = 0; i < 6000; ++i) {
    if (worker.core().pools() == 0) {
      PoolAddress address = coordinator.address();
      if (babble.pick(2) == 0) address.invitation = coordinator.invitation();
      worker.core().add_pool(address);
      ++ended;
    }
    ByteVector tensor;
    Message message = babble.message(&tensor);
    bool bulk = std::holds_alternative<BulkData>(message);
    auto channel = static_cast<Channel>(babble.pick(8) == 0 ? babble.pick(3) : (bulk ? 1 : 0));
    worker.deliver(coordinator.key(), channel, std::move(message), std::move(tensor));
    if (babble.pick(40) == 0) worker.core().on_connected(coordinator.key(), channel);
    if (babble.pick(3) == 0) coordinator.serve_bulk();
    if (babble.pick(20) == 0) worker.pass(std::chrono::milliseconds(babble.pick(3000)));
    for (const auto& answer : worker.take<Partial>(coordinator.key())) {
      ++answers[static_cast<size_t>(answer.message.status)];
    }
    if (babble.pick(50) == 0) worker.forget_actions();
    ASSERT_LE(worker.core().resident_bytes(), options.ram_bytes) << "seed " << kSeed;
    ASSERT_LE(worker.store().used_bytes(), options.disk_bytes) << "seed " << kSeed;
  }
  EXPECT_GT(ended, 5u);
  for (uint64_t count : answers) EXPECT_GT(count, 10u);  // every path was taken
  worker.core().leave_all();
  worker.options.disk_bytes = 64 * kMiB;
  worker.restart();
  coordinator.fill(1, model.units(1));
  for (uint32_t layer : {SampleModel::kSuperBlocks, SampleModel::kBlocks, SampleModel::kFloats}) {
    SampleBatch batch = model.batch(layer, 5, 3, 1);
    EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch))) << "seed " << kSeed;
  }
}

// Every timer of every part of a worker, in states that random messages lead to, and a clock that
// jumps: what is due stays due until it is done, it can be done, and something is always due.
TEST(WorkerRandom, NoTimerIsForgotten) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    SampleModel model(1);
    HarnessOptions options;
    options.disk_bytes = 90 * model.manifest().largest_grain_bytes();
    WorkerHarness worker(options);
    FakeCoordinator coordinator(worker, model, 1);
    Babble babble(model, coordinator, seed);
    for (int i = 0; i < 1200; ++i) {
      if (worker.core().pools() == 0) {
        PoolAddress address = coordinator.address();
        if (babble.pick(2) == 0) address.invitation = coordinator.invitation();
        worker.core().add_pool(address);
      }
      ByteVector tensor;
      Message message = babble.message(&tensor);
      bool bulk = std::holds_alternative<BulkData>(message);
      worker.deliver(coordinator.key(), bulk ? Channel::kBulk : Channel::kCompute,
                     std::move(message), std::move(tensor));
      if (babble.pick(3) == 0) coordinator.serve_bulk();
      if (babble.pick(4) > 0) continue;
      if (worker.core().pools() == 0) continue;
      TimePoint due = worker.core().next_tick();
      ASSERT_LT(due, TimePoint::max()) << "nothing will ever be due again";
      // Exactly onto the moment, a little late, or far too late.
      constexpr std::array<int64_t, 4> kLateMicroseconds = {0, 70, 1'000'000, 300'000'000};
      Duration late = std::chrono::microseconds(kLateMicroseconds[babble.pick(4)]);
      worker.clock.set(std::max(worker.clock.now(), due) + late);
      ASSERT_LE(worker.core().next_tick(), worker.clock.now()) << "what was due was forgotten";
      worker.tick();
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

}  // namespace
}  // namespace potluck::test
