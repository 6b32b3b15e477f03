// Work: the same bits as a solo run however it is cut, and answers to everything that is wrong.
#include <cmath>
#include <limits>

#include "engine/base/limits.h"
#include "tests/support/grain_on_disk.h"
#include "tests/unit/worker/worker_harness.h"
#include "worker/unit_compute.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Test;

class WorkerCompute : public Test {
 protected:
  static constexpr std::array kLayers = {SampleModel::kSuperBlocks, SampleModel::kBlocks,
                                         SampleModel::kFloats};

  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
};

TEST_F(WorkerCompute, EqualsTheSoloRunBitForBit) {
  for (const KernelTable* kernels : available_kernels()) {
    for (uint32_t slices : {1u, 2u, 4u}) {
      HarnessOptions options;
      options.kernels = kernels->name;
      options.threads = slices == 2 ? 1 : 3;
      WorkerHarness bench(options);
      FakeCoordinator asking(bench, model, 1);
      asking.fill(slices, model.units(slices));
      for (uint32_t layer : kLayers) {
        for (uint32_t tokens : {1u, 7u, 40u}) {
          SampleBatch batch = model.batch(layer, tokens, 3, tokens);
          EXPECT_TRUE(same(asking.compute(batch, slices), model.solo(batch)))
              << kernels->name << " slices " << slices << " layer " << layer << " tokens "
              << tokens;
        }
      }
    }
  }
}

TEST_F(WorkerCompute, PartsOfSeveralWorkersAddUpToTheSoloRun) {
  constexpr uint32_t kSlices = 4;
  std::vector<std::vector<UnitId>> shares(3);
  for (UnitId unit : model.units(kSlices)) shares[unit.slice % 3].push_back(unit);
  std::vector<ExpertSums> totals(kLayers.size());
  for (const std::vector<UnitId>& share : shares) {
    WorkerHarness bench;
    FakeCoordinator asking(bench, model, 1);
    asking.fill(kSlices, share);
    for (size_t i = 0; i < kLayers.size(); ++i) {
      SampleBatch batch = model.batch(kLayers[i], 9, 2, 17);
      uint32_t part_of = share.front().slice % 3;
      ExpertSums part =
          asking.compute(batch, kSlices, [=](UnitId unit) { return unit.slice % 3 == part_of; });
      if (totals[i].sums.empty()) totals[i].reset(9, batch.input.columns());
      for (size_t j = 0; j < part.sums.size(); ++j) totals[i].sums[j] += part.sums[j];
      for (size_t j = 0; j < part.flags.size(); ++j) totals[i].flags[j] |= part.flags[j];
    }
  }
  for (size_t i = 0; i < kLayers.size(); ++i) {
    EXPECT_TRUE(same(totals[i], model.solo(model.batch(kLayers[i], 9, 2, 17)))) << kLayers[i];
  }
}

// So many threads that the rows of one message are computed in several blocks.
TEST_F(WorkerCompute, ManyRowsAreComputedInBlocks) {
  HarnessOptions options;
  options.threads = 47;
  WorkerHarness bench(options);
  FakeCoordinator asking(bench, model, 1);
  asking.fill(1, model.units(1));
  ThreadPool threads(options.threads);
  UnitCompute probe(*available_kernels().front(), threads, bench.clock);
  for (uint32_t layer : {SampleModel::kBlocks, SampleModel::kFloats}) {
    uint32_t hidden = model.manifest().layer(layer)->shape.hidden;
    uint32_t block = probe.rows_per_range(hidden);
    EXPECT_EQ(uint64_t{block} * hidden % 32, 0u);
    EXPECT_LE(block * hidden * sizeof(int64_t) * 48, UnitCompute::kSumsBytes);
    uint32_t rows = std::min(block + 5, limits::kRowsPerMessage);
    SampleBatch batch = model.batch(layer, rows, 1, 3);
    EXPECT_TRUE(same(asking.compute(batch, 1), model.solo(batch))) << layer;
  }
  EXPECT_LT(probe.rows_per_range(128), 1000u);
  EXPECT_GE(probe.rows_per_range(limits::kHidden), 1u);
}

TEST_F(WorkerCompute, TheSameRequestGetsTheSameAnswer) {
  coordinator.fill(2, model.units(2));
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 5, 2, 8);
  Compute request = coordinator.compute_message(batch, 2);
  auto first = coordinator.ask(request, FakeCoordinator::frame_of(batch));
  SampleBatch other = model.batch(SampleModel::kFloats, 2, 1, 9);
  coordinator.compute(other, 2);
  auto second = coordinator.ask(request, FakeCoordinator::frame_of(batch));
  EXPECT_EQ(first.tensor, second.tensor);
  EXPECT_EQ(first.message.row_flags, second.message.row_flags);
  EXPECT_EQ(first.message.checksum, second.message.checksum);
  EXPECT_GT(first.message.timings.cache_misses, 0u);
  EXPECT_GT(first.message.timings.disk_bytes, 0u);
  EXPECT_EQ(second.message.timings.cache_misses, 0u);
  EXPECT_EQ(second.message.timings.disk_bytes, 0u);
  EXPECT_GT(second.message.timings.cache_hits, 0u);
  MembershipStatus status = worker.core().status().at(0);
  EXPECT_EQ(status.rows_computed, 5u + 2u + 5u);
  EXPECT_EQ(status.units_computed, 20u + 4u + 20u);
}

TEST_F(WorkerCompute, ASmallCacheGivesTheSameBits) {
  worker.options.ram_bytes = 3 * model.manifest().largest_grain_bytes();
  worker.restart();
  coordinator.fill(1, model.units(1));
  for (int round = 0; round < 3; ++round) {
    for (uint32_t layer : kLayers) {
      SampleBatch batch = model.batch(layer, 6, 3, 21);
      EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
    }
  }
  EXPECT_LE(worker.core().resident_bytes(), worker.options.ram_bytes);
}

TEST_F(WorkerCompute, FlagsRowsWhoseAddendsLeaveTheirRange) {
  coordinator.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kBlocks, 4, 1, 2);
  batch.weights[1] = 1e30F;
  batch.fraction_bits[2] = 170;
  ExpertSums sums = coordinator.compute(batch, 1);
  EXPECT_EQ(sums.flags, (std::vector<uint8_t>{0, 1, 1, 0}));
  EXPECT_TRUE(same(sums, model.solo(batch)));
}

TEST_F(WorkerCompute, NamesTheUnitsItDoesNotHold) {
  coordinator.fill(2, {{SampleModel::kBlocks, 0, 0}, {SampleModel::kBlocks, 0, 1}});
  SampleBatch batch = model.batch(SampleModel::kBlocks, 6, 4, 2);  // all experts in every row
  auto answer =
      coordinator.ask(coordinator.compute_message(batch, 2), FakeCoordinator::frame_of(batch));
  EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
  std::vector<UnitId> missing;
  for (uint16_t expert = 1; expert < 4; ++expert) {
    for (uint16_t slice = 0; slice < 2; ++slice) {
      missing.push_back({SampleModel::kBlocks, expert, slice});
    }
  }
  EXPECT_EQ(answer.message.lost, missing);
  EXPECT_TRUE(answer.tensor.empty());
  EXPECT_TRUE(answer.message.row_flags.empty());
  EXPECT_EQ(worker.core().status()[0].rows_computed, 0u);
}

TEST_F(WorkerCompute, HoldsNothingBeforeAnAssignment) {
  coordinator.admit();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 1, 1, 2);
  auto answer =
      coordinator.ask(coordinator.compute_message(batch, 1), FakeCoordinator::frame_of(batch));
  EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
  EXPECT_EQ(answer.message.lost.size(), 1u);
}

TEST_F(WorkerCompute, AnotherEpochIsStale) {
  coordinator.fill(1, model.units(1));
  worker.pass(milliseconds(1500));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 1, 1, 2);
  Compute request = coordinator.compute_message(batch, 1);
  request.work.epoch = 6;
  auto answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
  EXPECT_EQ(answer.message.status, PartialStatus::kStale);
  EXPECT_TRUE(answer.tensor.empty());
  worker.take_one<Hello>(coordinator.key());
}

// --- disks that forget or lie ---

class LostGrain : public WorkerCompute {
 protected:
  static constexpr GrainId kVictim{SampleModel::kSuperBlocks, 1, 2};

  // With the whole model in the store and nothing in the cache.
  void SetUp() override {
    coordinator.fill(2, model.units(2));
    start_again();
  }

  void start_again() {
    worker.restart();
    coordinator.fill(2, model.units(2));
    worker.forget_actions();
    asked_before_ = coordinator.grains_asked().size();
  }

  void expect_noticed_and_healed() {
    SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 3, 4, 2);
    Compute request = coordinator.compute_message(batch, 2);
    auto answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
    EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
    EXPECT_EQ(answer.message.lost, (std::vector<UnitId>{{SampleModel::kSuperBlocks, 1, 0}}));
    EXPECT_TRUE(answer.tensor.empty());
    auto report = worker.take_one<Residency>(coordinator.key());
    EXPECT_EQ(report.message.lost, answer.message.lost);
    EXPECT_TRUE(report.message.ready.empty());
    std::string notices = worker.notices();
    EXPECT_NE(notices.find("altered on disk"), std::string::npos) << notices;
    EXPECT_EQ(notices.find("fatal"), std::string::npos) << notices;
    // Asked again before it came: still missing, and fetched once.
    answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
    EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
    coordinator.serve_bulk();
    EXPECT_EQ(coordinator.grains_asked().size(), asked_before_ + 1);
    EXPECT_EQ(coordinator.grains_asked().back(), kVictim);
    report = worker.take_one<Residency>(coordinator.key());
    EXPECT_EQ(report.message.ready, (std::vector<UnitId>{{SampleModel::kSuperBlocks, 1, 0}}));
    EXPECT_TRUE(same(coordinator.compute(batch, 2), model.solo(batch)));
  }

  GrainOnDisk victim() {
    return *grain_on_disk(worker.disk, "store", model.manifest().digest_of(kVictim));
  }

  // Every answer before the right one says what is missing, and that is fetched.
  void heal(const SampleBatch& batch) {
    Compute request = coordinator.compute_message(batch, 2);
    auto answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
    EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
    uint32_t grains = 4 * model.manifest().layer(batch.layer)->plan.grains;
    for (uint32_t i = 0; i < grains && answer.message.status == PartialStatus::kMissing; ++i) {
      coordinator.serve_bulk();
      answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
    }
    EXPECT_EQ(answer.message.status, PartialStatus::kOk);
    EXPECT_TRUE(same(coordinator.compute(batch, 2), model.solo(batch)));
  }

  size_t asked_before_ = 0;
};

TEST_F(LostGrain, AFlippedBitIsNoticedBeforeUse) {
  for (uint64_t offset : {uint64_t{0}, model.manifest().grain_bytes(kVictim) - 1}) {
    worker.disk.flip_bit(victim().path, victim().offset + offset);
    expect_noticed_and_healed();
    start_again();
  }
}

TEST_F(LostGrain, AShortSegmentIsNoticed) {
  worker.disk.truncate(victim().path, victim().offset + 4096);
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 3, 4, 2);
  heal(batch);
}

TEST_F(LostGrain, AMissingSegmentIsNoticed) {
  ASSERT_TRUE(worker.disk.remove(victim().path).ok());
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 3, 4, 2);
  heal(batch);
}

TEST_F(LostGrain, AReadThatFailsLosesOneGrain) {
  worker.disk.fail_reads(1);
  SampleBatch batch = model.batch(SampleModel::kFloats, 1, 1, 2);
  Compute request = coordinator.compute_message(batch, 2);
  auto answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
  EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
  EXPECT_EQ(answer.message.lost.size(), 1u);
  coordinator.serve_bulk();
  EXPECT_EQ(coordinator.grains_asked().size(), asked_before_ + 1);  // written anew
  EXPECT_TRUE(same(coordinator.compute(batch, 2), model.solo(batch)));
}

TEST_F(LostGrain, EverythingGoneIsFetchedAgainPieceByPiece) {
  for (const ManifestLayer& layer : model.manifest().layers()) {
    for (const Digest& digest : layer.grains) {
      if (auto grain = grain_on_disk(worker.disk, "store", digest)) {
        worker.disk.flip_bit(grain->path, grain->offset + 5);
      }
    }
  }
  heal(model.batch(SampleModel::kFloats, 2, 4, 2));
}

// --- hostile requests ---

struct Twist {
  const char* name;
  void (*apply)(Compute& request, ByteVector& frame);
};

class HostileCompute : public WorkerCompute, public testing::WithParamInterface<Twist> {};

TEST_P(HostileCompute, IsAnsweredAsABadRequest) {
  coordinator.fill(2, model.units(2));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 3, 2, 2);
  Compute request = coordinator.compute_message(batch, 2);
  ByteVector frame = FakeCoordinator::frame_of(batch);
  GetParam().apply(request, frame);
  auto answer = coordinator.ask(request, frame);
  EXPECT_EQ(answer.message.status, PartialStatus::kBadRequest);
  EXPECT_FALSE(answer.message.text.empty());
  EXPECT_TRUE(answer.message.row_flags.empty());
  EXPECT_TRUE(answer.tensor.empty());
  EXPECT_EQ(worker.core().pools(), 1u);
  EXPECT_TRUE(same(coordinator.compute(batch, 2), model.solo(batch)));  // no harm done
}

INSTANTIATE_TEST_SUITE_P(
    All, HostileCompute,
    testing::Values(
        Twist{"LayerWithoutExperts", [](Compute& r, ByteVector&) { r.work.layer = 1; }},
        Twist{"LayerBeyondTheModel", [](Compute& r, ByteVector&) { r.work.layer = 999; }},
        Twist{"LayerThatWrapsAround", [](Compute& r, ByteVector&) { r.work.layer = 0x10000; }},
        Twist{"HugeLayer", [](Compute& r, ByteVector&) { r.work.layer = ~0u; }},
        Twist{"Expert", [](Compute& r, ByteVector&) { r.rows[1].calls[0].expert = 4; }},
        Twist{"HugeExpert", [](Compute& r, ByteVector&) { r.rows[2].calls[1].expert = 0xffff; }},
        Twist{"Slice", [](Compute& r, ByteVector&) { r.rows[0].calls[0].slice = 2; }},
        Twist{"HugeSlice", [](Compute& r, ByteVector&) { r.rows[0].calls[0].slice = 0xffff; }},
        Twist{"FewerSlices", [](Compute& r, ByteVector&) { r.slices = 1; }},
        Twist{"NoSlices", [](Compute& r, ByteVector&) { r.slices = 0; }},
        Twist{"ManySlices", [](Compute& r, ByteVector&) { r.slices = ~0u; }},
        Twist{"Form", [](Compute& r, ByteVector&) { r.form = ActivationForm::kF32; }},
        Twist{"OtherBlocks", [](Compute& r, ByteVector&) { r.form = ActivationForm::kQ8Block32; }},
        Twist{"Columns", [](Compute& r, ByteVector&) { r.columns = 255; }},
        Twist{"NoColumns", [](Compute& r, ByteVector&) { r.columns = 0; }},
        Twist{"HugeColumns", [](Compute& r, ByteVector&) { r.columns = ~0u; }},
        Twist{"NoRows",
              [](Compute& r, ByteVector& f) {
                r.rows.clear();
                f.clear();
              }},
        Twist{"RowWithoutCalls", [](Compute& r, ByteVector&) { r.rows[1].calls.clear(); }},
        Twist{"ShortFrame", [](Compute&, ByteVector& f) { f.pop_back(); }},
        Twist{"LongFrame", [](Compute&, ByteVector& f) { f.push_back(std::byte{0}); }},
        Twist{"NoFrame", [](Compute&, ByteVector& f) { f.clear(); }},
        Twist{"MoreRowsThanFrame", [](Compute& r, ByteVector&) { r.rows.push_back(r.rows[0]); }},
        Twist{"TooManyRows",
              [](Compute& r, ByteVector& f) {
                size_t row = f.size() / r.rows.size();
                r.rows.resize(limits::kRowsPerMessage + 1, r.rows[0]);
                f.resize(row * r.rows.size());
              }},
        Twist{"TooManyCalls",
              [](Compute& r, ByteVector&) {
                r.rows[0].calls.resize(limits::kCallsPerMessage, r.rows[0].calls[0]);
              }},
        Twist{"ImpossibleQuant", [](Compute&, ByteVector& f) { f[300] = std::byte{0x80}; }}),
    [](const auto& twist) { return twist.param.name; });

// 127 values are padded to 128: the frame is as long as that of the right request.
TEST_F(WorkerCompute, AnotherRowOfTheSameLengthIsABadRequest) {
  coordinator.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kBlocks, 3, 2, 2);
  Compute request = coordinator.compute_message(batch, 1);
  request.columns = 127;
  auto answer = coordinator.ask(request, FakeCoordinator::frame_of(batch));
  EXPECT_EQ(answer.message.status, PartialStatus::kBadRequest);
  EXPECT_NE(answer.message.text.find("rows of 127 values"), std::string::npos);
}

TEST_F(WorkerCompute, StrangeNumbersAreComputedLikeAnyOther) {
  coordinator.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kFloats, 5, 1, 2);
  batch.weights = {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(),
                   0.0F, -1e-40F, 1.0F};
  batch.fraction_bits = {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max(),
                         -5000, 5000, 24};
  batch.input.values()[4 * 40] = std::numeric_limits<float>::quiet_NaN();
  ExpertSums sums = coordinator.compute(batch, 1);
  EXPECT_TRUE(same(sums, model.solo(batch)));
  EXPECT_EQ(sums.flags[0], 1);
  EXPECT_EQ(sums.flags[1], 1);
  EXPECT_EQ(sums.flags[4], 1);
}

}  // namespace
}  // namespace potluck::test
