// Workers that fetch from each other, in virtual time: even if some lie, fall silent, die or
// cannot be reached, every worker gets what it is to hold, and the text is the same.
// POTLUCK_SIM_SEED=n runs the seeded scenario n alone; POTLUCK_SIM_RUNS=n runs seeds 1 to n.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "tests/sim/seed_range.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

constexpr Duration kDeliveryLimit = std::chrono::minutes(2);
constexpr uint64_t kDeliverySeeds = 30;

class DeliverySim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  // A pool of that many workers that hold everything between them.
  static std::unique_ptr<SimPool> pool_of(size_t workers, const SimPoolOptions& options = {}) {
    auto pool = std::make_unique<SimPool>(*model_, options);
    for (size_t i = 0; i < workers; ++i) pool->add_worker();
    expect_rest(*pool);
    return pool;
  }
  static void expect_rest(SimPool& pool) {
    EXPECT_TRUE(pool.run_until([&] { return pool.at_rest(); }, kDeliveryLimit)) << text(pool);
    EXPECT_TRUE(pool.violations().empty());
  }
  // The coordinator hears of the last bytes within a second.
  static const SourceRecord& sources(SimPool& pool, size_t worker) {
    pool.run_until([] { return false; }, std::chrono::seconds(2));
    const WorkerRecord* record = pool.core().cluster().worker(pool.worker(worker).key());
    EXPECT_NE(record, nullptr);
    return record->sources;
  }
  static uint64_t from_peers(const SourceRecord& sources) {
    uint64_t bytes = 0;
    for (const auto& [key, count] : sources.peer_bytes) bytes += count;
    return bytes;
  }
  static std::string text(const SimPool& pool) {
    std::string text;
    for (const std::string& line : pool.log()) text += line + "\n";
    return text;
  }
  static std::string notices(SimPool& pool, size_t worker) {
    std::string text;
    for (const std::string& line : pool.worker(worker).notices()) text += line + "\n";
    return text;
  }
  static void expect_the_same_text(SimPool& pool) {
    GenerateOptions options;
    options.prompt = model_->prompt(7);
    options.tokens = 6;
    auto generated = model_->generate(options, pool.threads(), pool.executor());
    ASSERT_TRUE(generated.ok()) << generated.error().message;
    EXPECT_TRUE(*generated == model_->solo(options));
  }

  // Two newcomers fetch from a pool while three faults strike.
  static void run_seed(uint64_t seed) {
    constexpr FaultKind kKinds[] = {FaultKind::kKill,   FaultKind::kVanish,   FaultKind::kRestart,
                                    FaultKind::kFreeze, FaultKind::kFlipBit,  FaultKind::kLie,
                                    FaultKind::kSilent, FaultKind::kPartition};
    SCOPED_TRACE(fmt::format("replay with POTLUCK_SIM_SEED={}", seed));
    CounterRandom random(seed);
    SimPoolOptions options;
    options.seed = seed;
    options.slices = 1u << random.bits(0, 0) % 3;
    size_t workers = 2 + random.bits(0, 1) % 4;
    auto pool = pool_of(workers, options);
    for (uint64_t i = 1; i <= 3; ++i) {
      Fault fault{kKinds[random.bits(i, 0) % std::size(kKinds)], 0,
                  random.bits(i, 1) % (workers + 2),
                  std::chrono::milliseconds(20 + random.bits(i, 2) % 3000)};
      fault.at_served = 1 + random.bits(i, 3) % 30;
      pool->add_fault(fault);
    }
    pool->add_worker();
    pool->add_worker();
    expect_the_same_text(*pool);
    pool->end_faults();
    expect_rest(*pool);
    if (HasFailure()) FAIL() << text(*pool);
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> DeliverySim::model_;

TEST_F(DeliverySim, ANewcomerFetchesFromTheOthersAndNothingFromTheCoordinator) {
  auto pool = pool_of(3);
  uint64_t delivered = pool->core().bytes_delivered();
  pool->add_worker();
  expect_rest(*pool);
  const SourceRecord& record = sources(*pool, 3);
  EXPECT_EQ(record.coordinator_bytes, 0u);
  EXPECT_GE(record.peer_bytes.size(), 2u);  // as many as gave something away
  EXPECT_GT(from_peers(record), 0u);
  EXPECT_TRUE(record.accused.empty());
  // What remains is the manifest.
  EXPECT_EQ(pool->core().bytes_delivered() - delivered, model_->manifest().encode().size());
  uint64_t served = 0;
  for (size_t i = 0; i < 3; ++i) served += pool->worker(i).bytes_served();
  EXPECT_EQ(served, from_peers(record));
  EXPECT_NE(notices(*pool, 3).find("fetched "), std::string::npos);
  expect_the_same_text(*pool);
}

TEST_F(DeliverySim, WhoServesNobodyIsNotAsked) {
  SimPool pool(*model_, {});
  for (size_t i = 0; i < 3; ++i) pool.add_worker(false);
  expect_rest(pool);
  pool.add_worker();
  expect_rest(pool);
  const SourceRecord& record = sources(pool, 3);
  EXPECT_GT(record.coordinator_bytes, 0u);
  EXPECT_EQ(from_peers(record), 0u);
}

TEST_F(DeliverySim, ALiarIsNamedAndEverythingArrivesAllTheSame) {
  auto pool = pool_of(3);
  pool->strike({FaultKind::kLie, 0, 1, std::chrono::hours(1)});
  pool->add_worker();
  expect_rest(*pool);
  const SourceRecord& record = sources(*pool, 3);
  PeerKey liar = pool->worker(1).key();
  EXPECT_EQ(record.accused, std::set<PeerKey>{liar});
  EXPECT_EQ(pool->core().cluster().accusers(liar), 1u);
  EXPECT_NE(pool->core().cluster().worker(liar), nullptr);  // one accusation bans no worker
  EXPECT_NE(notices(*pool, 3).find("device-1"), std::string::npos) << notices(*pool, 3);
  EXPECT_NE(text(*pool).find("sent it wrong bytes"), std::string::npos);
  expect_the_same_text(*pool);
}

TEST_F(DeliverySim, SilenceIsWaitedForOnceAndTheCoordinatorStepsIn) {
  auto pool = pool_of(2);
  for (size_t i = 0; i < 2; ++i) pool->strike({FaultKind::kSilent, 0, i, {}});
  TimePoint start = pool->clock().now();
  pool->add_worker();
  expect_rest(*pool);
  EXPECT_LT(pool->clock().now() - start, std::chrono::seconds(12));
  EXPECT_GT(sources(*pool, 2).coordinator_bytes, 0u);
  EXPECT_TRUE(sources(*pool, 2).accused.empty());
}

TEST_F(DeliverySim, WorkersThatCannotReachEachOtherFetchFromTheOthers) {
  auto pool = pool_of(4);
  pool->add_worker();  // connections are not there yet
  pool->strike({FaultKind::kPartition, 0, 4, {}});
  expect_rest(*pool);
  const SourceRecord& record = sources(*pool, 4);
  EXPECT_FALSE(record.peer_bytes.contains(pool->worker(1).key()));
  EXPECT_FALSE(record.peer_bytes.contains(pool->worker(3).key()));
  EXPECT_GT(from_peers(record), 0u);
  EXPECT_GT(record.coordinator_bytes, 0u);
  expect_the_same_text(*pool);
}

TEST_F(DeliverySim, AServerThatDiesIsReplaced) {
  for (FaultKind kind : {FaultKind::kKill, FaultKind::kVanish}) {
    auto pool = pool_of(3);
    Fault fault{kind, 0, 0, {}};
    fault.at_served = 3;
    pool->add_fault(fault);
    pool->add_worker();
    expect_rest(*pool);
    EXPECT_EQ(pool->running_workers(), 3u);
    EXPECT_GT(from_peers(sources(*pool, 3)), 0u);
    expect_the_same_text(*pool);
  }
}

TEST_F(DeliverySim, ARestartGoesOnWhereItWas) {
  SimPoolOptions options;
  options.worker_serve_rate = kMiB;  // slow enough that grains are stored before all are sent
  auto pool = pool_of(3, options);
  Fault fault{FaultKind::kRestart, 0, 3, std::chrono::milliseconds(100)};
  fault.at_served = 9;
  pool->add_fault(fault);
  pool->add_worker();
  expect_rest(*pool);
  uint64_t total = 0;
  const WorkerRecord* record = pool->core().cluster().worker(pool->worker(3).key());
  ASSERT_NE(record, nullptr);
  for (UnitId unit : record->assigned) total += unit_bytes(model_->manifest(), unit, 1);
  // Since the second start less than all of it.
  EXPECT_LT(from_peers(sources(*pool, 3)), total);
}

TEST_F(DeliverySim, AModelFileOnTheDeviceReplacesFetching) {
  auto storage = make_system_storage();
  auto copy = ModelCopy::open(*storage, test::data_path("arch/qwen3moe/model.gguf"));
  ASSERT_TRUE(copy.ok()) << copy.error().message;
  SimPoolOptions options;
  options.worker_model = copy->get();
  options.founding_workers = 2;  // or the first one cuts everything before the second is there
  auto pool = pool_of(2, options);
  EXPECT_EQ(sources(*pool, 0).file_bytes + sources(*pool, 1).file_bytes,
            model_->manifest().total_bytes());
  EXPECT_EQ(sources(*pool, 0).coordinator_bytes, 0u);
  expect_the_same_text(*pool);
}

// The same shapes, other weights.
TEST_F(DeliverySim, AModelFileWithOtherWeightsIsNotBelieved) {
  auto storage = make_system_storage();
  auto bytes = read_file(*storage, test::data_path("arch/qwen3moe/model.gguf"), kGiB);
  ASSERT_TRUE(bytes.ok());
  MemoryStorage other;
  for (size_t at = bytes->size() / 2; at < bytes->size(); at += 64) (*bytes)[at] ^= std::byte{1};
  ASSERT_TRUE(other.write_atomic("other.gguf", *bytes).ok());
  auto copy = ModelCopy::open(other, "other.gguf");
  ASSERT_TRUE(copy.ok()) << copy.error().message;
  SimPoolOptions options;
  options.worker_model = copy->get();
  auto pool = pool_of(1, options);
  EXPECT_NE(notices(*pool, 0).find("other.gguf: layer"), std::string::npos) << notices(*pool, 0);
  EXPECT_GT(sources(*pool, 0).coordinator_bytes, 0u);
  expect_the_same_text(*pool);
}

TEST_F(DeliverySim, SeededFaultsWhileNewcomersFetch) {
  const SeedRange seeds = seeds_to_run(kDeliverySeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last && !HasFailure(); ++seed) run_seed(seed);
}

// As in pool_sim_test.cpp.
TEST_F(DeliverySim, SeedsThatOnceFailed) {
  for (uint64_t seed : {348u}) run_seed(seed);
}

}  // namespace
}  // namespace potluck::sim
