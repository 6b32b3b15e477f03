// Sessions with members, strangers and coordinators that say anything at any time, against the real
// loops: nothing aborts, nothing waits for ever, what can be kept is bounded, the pool generates
// what a solo run generates, and it comes to rest once they are silent. POTLUCK_SIM_SEED=n runs
// seed n alone, POTLUCK_SIM_RUNS=n runs seeds 1 to n, POTLUCK_SIM_FIRST=n begins at another seed.
#include <cstdlib>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "tests/sim/puppet.h"
#include "tests/sim/sim_pool.h"

namespace potluck::sim {
namespace {

constexpr uint64_t kSeeds = 40;
constexpr Duration kUntilReady = std::chrono::minutes(1);
constexpr Duration kUntilSilent = std::chrono::minutes(30);
// Silence, greetings that have to wait, pauses of fetching, rests.
constexpr Duration kUntilRest = std::chrono::minutes(3);
constexpr uint64_t kDiskBytes = 8 * kMiB;
// The process, beyond what it had when the pool was made: all workers' budgets and windows, the
// disks in memory, what is on its way.
constexpr uint64_t kMostMemory = 256 * kMiB;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// 0 where another allocator is linked.
uint64_t memory_in_use() {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

struct Totals {
  uint64_t seeds = 0;
  KindCounts said{};
  uint64_t most_memory = 0;
  uint64_t most_control_bytes = 0;
};

PeerKey key_of(uint64_t seed, uint64_t number) {
  SeededEntropy entropy(mix64(seed) + number);
  PeerKey key;
  entropy.fill(std::as_writable_bytes(std::span(key.bytes)));
  return key;
}

// What coordinators of other pools announce: the same model, part of it, and one that is not signed
// by them.
std::vector<SignedManifest> other_manifests(const SimModel& model, const SigningKey& key) {
  auto layers = model.manifest().layers();
  Manifest part("part", {layers.begin(), layers.begin() + 1});
  SignedManifest unsigned_one{Manifest("other", {layers.begin(), layers.end()}).encode(), {}};
  return {sign_manifest(model.manifest(), key), sign_manifest(part, key), unsigned_one};
}

class Session {
 public:
  Session(const SimModel& model, uint64_t seed, Totals* totals)
      : model_(model),
        random_(seed),
        seed_(seed),
        totals_(totals),
        entropy_(seed + 1),
        signing_(SigningKey::generate(entropy_)),
        manifests_(other_manifests(model, signing_)),
        before_(memory_in_use()),
        pool_(model, options()) {}

  // Empty, or what went wrong.
  std::string run() {
    honest_ = 1 + pick(3);
    size_t parasites = pick(3);
    for (size_t i = 0; i < honest_ + parasites; ++i) pool_.add_worker(pick(5) > 0);
    if (!until([&] { return pool_.at_rest(); }, kUntilReady)) return "it did not become ready";
    add_puppets(parasites);
    std::string failure = generate(4);
    if (failure.empty() && !until([&] { return silent(); }, kUntilSilent)) {
      failure = "the puppets were not heard to the end";
    }
    if (failure.empty()) failure = expect_rest();
    if (failure.empty()) failure = generate(2);
    for (const std::string& violation : pool_.violations()) failure += violation + "\n";
    watch_memory();
    if (most_memory_ > kMostMemory) failure += fmt::format("{} bytes in use", most_memory_);
    totals_->most_control_bytes = std::max(totals_->most_control_bytes, pool_.most_control_bytes());
    totals_->most_memory = std::max(totals_->most_memory, most_memory_);
    ++totals_->seeds;
    return failure;
  }

  std::string log() const {
    std::string text;
    size_t begin = pool_.log().size() > 60 ? pool_.log().size() - 60 : 0;
    for (size_t i = begin; i < pool_.log().size(); ++i) text += pool_.log()[i] + "\n";
    return text;
  }

 private:
  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }

  SimPoolOptions options() {
    SimPoolOptions options;
    options.seed = seed_;
    options.slices = 1u << pick(3);
    options.worker_ram_bytes = (256 << pick(5)) * kKiB;
    options.worker_disk_bytes = kDiskBytes;
    options.link.mean_delay = std::chrono::microseconds(50 + pick(3000));
    options.validate_workers = true;
    return options;
  }

  MessageGenerator generator(uint64_t number) {
    MessageGenerator generator(seed_ * 64 + number, model_.manifest(), model_.model().cutter(),
                               manifests_);
    generator.learn_key(pool_.key());
    for (size_t i = 0; i < pool_.workers(); ++i) generator.learn_key(pool_.worker(i).key());
    generator.learn_secret(pool_.invite().secret);
    generator.learn_self_test(kernel_self_test(model_.kernels()));
    return generator;
  }

  void add_puppet(PuppetOptions options) {
    options.coordinator = pool_.key();
    options.messages = 50 + pick(600);
    for (size_t i = 0; i < honest_ && options.workers.empty(); ++i) {
      options.workers.push_back(pool_.worker(i).key());
    }
    MessageGenerator words = generator(++puppets_made_);
    words.set_epoch(options.role == PuppetRole::kCoordinator ? 1 + pick(5) : 41);
    auto puppet = std::make_unique<Puppet>(std::move(options), std::move(words), pool_.clock(),
                                           pool_.network(), &totals_->said);
    puppets_.push_back(puppet.get());
    pool_.add_actor(std::move(puppet));
  }

  void add_puppets(size_t parasites) {
    for (size_t i = 0; i < parasites; ++i) {
      add_puppet({PuppetRole::kParasite, pool_.worker(honest_ + i).key(), {}, {}, 0, {}});
    }
    for (uint64_t i = pick(3); i > 0; --i) {
      PeerKey key = key_of(seed_, puppets_made_);
      pool_.allow(key);
      add_puppet({PuppetRole::kMember, key, {}, {}, 0, {}});
    }
    if (pick(2) == 0) {
      add_puppet({PuppetRole::kStranger, key_of(seed_, puppets_made_), {}, {}, 0, {}});
    }
    uint64_t coordinators = pick(3);
    if (puppets_.empty() && coordinators == 0) coordinators = 1;
    for (; coordinators > 0; --coordinators) add_coordinator();
  }

  // The coordinator of another pool, and a worker that belongs to it, too; again and again.
  void add_coordinator() {
    size_t worker = pick(honest_);
    PoolAddress address;
    address.coordinator = key_of(seed_, puppets_made_);
    address.signing_key = signing_.public_key();
    address.compute_endpoint = "tcp://127.0.0.1:7202";
    address.bulk_endpoint = "tcp://127.0.0.1:7203";
    auto join = [this, worker, address] { pool_.worker(worker).join(address); };
    add_puppet(
        {PuppetRole::kCoordinator, address.coordinator, {}, {pool_.worker(worker).key()}, 0, join});
    join();
  }

  bool until(const std::function<bool()>& condition, Duration limit) {
    return pool_.run_until(
        [&] {
          if (++looks_ % 256 == 0) watch_memory();
          return condition() || !pool_.violations().empty();
        },
        limit);
  }

  void watch_memory() {
    uint64_t now = memory_in_use();
    if (now > before_) most_memory_ = std::max(most_memory_, now - before_);
  }

  bool silent() const {
    return std::all_of(puppets_.begin(), puppets_.end(),
                       [](const Puppet* puppet) { return puppet->done(); });
  }

  // A worker whose key was misused may have been sent away, and is started again. No other one.
  std::string expect_rest() {
    for (size_t i = honest_; i < pool_.workers(); ++i) {
      if (!pool_.worker(i).belongs_to(pool_.key())) {
        pool_.strike({FaultKind::kRestart, 0, i, {}});
      }
    }
    bool rest = until([&] { return pool_.at_rest(); }, kUntilRest);
    for (size_t i = 0; i < honest_; ++i) {
      if (!pool_.worker(i).belongs_to(pool_.key())) {
        std::string why = "an honest worker has left:";
        for (const std::string& text : pool_.worker(i).fatal_notices()) why += " " + text;
        return why;
      }
    }
    return rest ? "" : "the pool did not come to rest";
  }

  std::string generate(uint32_t tokens) {
    GenerateOptions options{model_.prompt(5), tokens, 512};
    auto generated = model_.generate(options, pool_.threads(), pool_.executor());
    if (!generated) return "generation failed: " + generated.error().message;
    return *generated == model_.solo(options) ? "" : "other tokens than a solo run's";
  }

  const SimModel& model_;
  CounterRandom random_;
  uint64_t position_ = 0;
  uint64_t seed_;
  Totals* totals_;
  SeededEntropy entropy_;
  SigningKey signing_;
  std::vector<SignedManifest> manifests_;
  uint64_t before_;
  SimPool pool_;
  size_t honest_ = 0;
  std::vector<Puppet*> puppets_;
  uint64_t puppets_made_ = 0;
  uint64_t looks_ = 0;
  uint64_t most_memory_ = 0;
};

TEST(SessionFuzz, AnyMessagesAtAnyTimeStopNothing) {
  SimModel model(POTLUCK_SOURCE_DIR "/tests/data/arch/qwen3moe/model.gguf");
  uint64_t first = from_environment("POTLUCK_SIM_FIRST", 1);
  uint64_t last = from_environment("POTLUCK_SIM_RUNS", first + kSeeds - 1);
  uint64_t seconds = from_environment("POTLUCK_SIM_SECONDS", 0);  // instead of a number of runs
  if (std::getenv("POTLUCK_SIM_SEED") != nullptr)
    first = last = from_environment("POTLUCK_SIM_SEED", 1);
  auto start = std::chrono::steady_clock::now();
  auto more = [&](uint64_t seed) {
    if (seconds == 0) return seed <= last;
    return std::chrono::steady_clock::now() - start < std::chrono::seconds(seconds);
  };
  Totals totals;
  for (uint64_t seed = first; more(seed); ++seed) {
    SCOPED_TRACE(fmt::format("replay with POTLUCK_SIM_SEED={}", seed));
    if (last - first > kSeeds || seconds > 0) std::cerr << "seed " << seed << "\n";
    Session session(model, seed, &totals);
    std::string failure = session.run();
    EXPECT_EQ(failure, "") << session.log();
    if (HasFailure()) break;
  }
  std::string said;
  for (size_t kind = 0; kind < kMessageKinds; ++kind) {
    EXPECT_TRUE(totals.said[kind] > 0 || totals.seeds < kSeeds) << "kind " << kind;
    said += fmt::format(" {}", totals.said[kind]);
  }
  std::cerr << fmt::format(
      "{} seeds; messages by kind:{}; most memory {} KiB, most said to one peer in a second {} "
      "bytes\n",
      totals.seeds, said, totals.most_memory / 1024, totals.most_control_bytes);
}

}  // namespace
}  // namespace potluck::sim
