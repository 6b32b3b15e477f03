#include "tests/sim/fuzz_session.h"

#include <algorithm>

#include <fmt/format.h>
#include <malloc.h>

namespace potluck::sim {
namespace {

constexpr Duration kFuzzReady = std::chrono::minutes(1);
constexpr Duration kUntilSilent = std::chrono::minutes(30);
constexpr Duration kUntilAnswered = kLongestGreetingPause + std::chrono::seconds(2);
// Silence, greetings that have to wait, pauses of fetching, rests.
constexpr Duration kFuzzRest = std::chrono::minutes(3);
// Generations while others speak, and the time between them.
constexpr int kMoreTimes = 6;
constexpr Duration kBetween = std::chrono::milliseconds(400);
constexpr uint64_t kDiskBytes = 8 * kMiB;
// The process, beyond what it had when the pool was made: budgets and windows of all workers, disks
// in memory, what is on its way.
constexpr uint64_t kMostMemory = 128 * kMiB;
constexpr size_t kLinesShown = 60;
constexpr size_t kNoticesShown = 10;

double virtual_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// 0 where another allocator is linked, as by sanitizers.
uint64_t memory_in_use() {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

template <class Lines>
std::string last_of(const Lines& lines, size_t count) {
  std::string text;
  size_t begin = lines.size() > count ? lines.size() - count : 0;
  for (size_t i = begin; i < lines.size(); ++i) text += "  " + lines[i] + "\n";
  return text;
}

std::string state_of(const SimWorker& worker) {
  std::string text = worker.name() + (worker.running() ? "" : " does not run") + "\n";
  for (const MembershipStatus& membership : worker.memberships()) {
    text += fmt::format("  {}: {}, {} of {} units\n", membership.coordinator.brief(),
                        membership.phase, membership.units_ready, membership.units_assigned);
  }
  return text + last_of(worker.notices(), kNoticesShown) +
         last_of(worker.fatal_notices(), kNoticesShown);
}

}  // namespace

FuzzWorld::FuzzWorld(const std::string& model_path)
    : model(model_path),
      signing(SigningKey::generate(entropy)),
      offers(manifest_offers(model.manifest(), signing)),
      answers(model) {}

const Generated& FuzzWorld::expected(uint32_t tokens) {
  auto [entry, fresh] = solo.try_emplace(tokens);
  if (fresh) entry->second = model.solo(task(tokens));
  return entry->second;
}

std::string FuzzTotals::text() const {
  return fmt::format(
      "{} sessions, {} messages; most memory {} KiB, most told to one peer in a second {} bytes, "
      "most messages of a turn {}\n{}",
      sessions, messages, most_memory / 1024, most_control_bytes, most_in_turn, outcomes.table());
}

FuzzSession::FuzzSession(FuzzWorld& world, uint64_t seed)
    : world_(world),
      random_(seed),
      seed_(seed),
      memory_(memory_in_use(), kMostMemory),
      pool_(world.model, pool_options()) {}

SimPoolOptions FuzzSession::pool_options() {
  SimPoolOptions options;
  options.seed = seed_;
  options.slices = 1u << pick(3);
  options.worker_ram_bytes = (256 << pick(5)) * kKiB;
  options.worker_disk_bytes = kDiskBytes;
  options.link.mean_delay = std::chrono::microseconds(50 + pick(3000));
  options.validate_workers = true;
  options.observer.wants = [this](const PeerKey& key) {
    return std::find(speakers_.begin(), speakers_.end(), key) != speakers_.end();
  };
  options.observer.turned = [this](const TurnRecord& turn) { outcomes_.add(turn); };
  return options;
}

std::string FuzzSession::run(FuzzTotals* totals) {
  std::string failure = begin();
  if (failure.empty()) failure = generate_while_they_speak();
  if (failure.empty()) failure = hear_out();
  if (failure.empty()) failure = generate(2);
  return finish(std::move(failure), totals);
}

std::string FuzzSession::run_rounds(uint32_t rounds, uint64_t messages, FuzzTotals* totals) {
  std::string failure = begin();
  for (uint32_t round = 0; round < rounds && failure.empty(); ++round) {
    uint64_t before = this->messages();
    for (Puppet* puppet : puppets_) puppet->go_on(messages);
    failure = hear_out();
    for (Puppet* puppet : puppets_) puppet->forget();
    memory_.rest(memory_in_use(), this->messages() - before);
  }
  return finish(std::move(failure), totals);
}

std::string FuzzSession::begin() {
  honest_ = 1 + pick(3);
  parasites_ = pick(3);
  for (size_t i = 0; i < honest_ + parasites_; ++i) pool_.add_worker(pick(5) > 0);
  if (!until([&] { return pool_.at_rest(); }, kFuzzReady)) return "it did not become ready";
  add_puppets();
  return "";
}

std::string FuzzSession::finish(std::string failure, FuzzTotals* totals) {
  for (const std::string& violation : pool_.violations()) failure += violation + "\n";
  look_at_memory();
  for (const std::string& violation : memory_.violations()) failure += violation + "\n";
  ++totals->sessions;
  totals->messages += messages();
  totals->outcomes.add(outcomes_);
  totals->most_memory = std::max(totals->most_memory, memory_.most());
  const TrafficCheck& traffic = pool_.traffic();
  totals->most_control_bytes = std::max(totals->most_control_bytes, traffic.most_control_bytes());
  totals->most_in_turn = std::max(totals->most_in_turn, traffic.most_in_turn());
  for (size_t i = 0; i < pool_.workers(); ++i) {
    totals->most_in_turn = std::max(totals->most_in_turn, pool_.worker(i).traffic().most_in_turn());
  }
  return failure;
}

std::string FuzzSession::log() const {
  std::string text = fmt::format("at {:.3f} s:\n", virtual_seconds(pool_.clock().now()));
  text += last_of(pool_.log(), kLinesShown);
  for (size_t i = 0; i < pool_.workers(); ++i) text += state_of(pool_.worker(i));
  return text;
}

void FuzzSession::add_puppets() {
  for (size_t i = 0; i < parasites_; ++i) {
    add_puppet({PuppetRole::kParasite, false, pool_.worker(honest_ + i).key(), {}});
  }
  for (uint64_t i = 1 + pick(2); i > 0; --i) {
    PeerKey key = next_key();
    pool_.allow(key);
    add_puppet({PuppetRole::kMember, false, key, {}});
  }
  if (pick(2) == 0) add_puppet({PuppetRole::kStranger, false, next_key(), {}});
  for (uint64_t i = pick(3); i > 0; --i) add_coordinator();
}

void FuzzSession::add_puppet(PuppetOptions options) {
  options.coordinator = pool_.key();
  options.messages = pick(8) == 0 ? 1000 + pick(4000) : 50 + pick(600);
  for (size_t i = 0; i < honest_ && options.workers.empty(); ++i) {
    options.workers.push_back(pool_.worker(i).key());
  }
  if (options.role != PuppetRole::kParasite) speakers_.push_back(options.key);
  options.earnest = pick(3) > 0;
  MessageGenerator words = generator();
  constexpr uint64_t kCare[] = {8, 30, 200};
  words.set_care(kCare[options.earnest ? 1 + pick(2) : 0]);
  words.set_epoch(options.role == PuppetRole::kCoordinator ? 1 + pick(5) : 41);
  auto puppet = std::make_unique<Puppet>(std::move(options), std::move(words), pool_.clock(),
                                         pool_.network());
  puppets_.push_back(puppet.get());
  pool_.add_actor(std::move(puppet));
}

// The coordinator of another pool, and a worker that belongs to it, too; again and again. Found on
// the network, with an invitation, or as one that the worker knows from before.
void FuzzSession::add_coordinator() {
  size_t worker = pick(honest_);
  PoolAddress address;
  address.coordinator = next_key();
  address.signing_key = world_.signing.public_key();
  const uint64_t way = pick(3);
  if (way == 1) {
    PairingOffer& offer = address.pairing.emplace();
    offer.own_key = pool_.worker(worker).key();
    offer.endpoints = {"tcp://127.0.0.1:7201", "tcp://127.0.0.1:7204"};
  } else if (way == 2) {
    address.invitation.emplace();
    address.invitation->coordinator = address.coordinator;
    address.invitation->signing_key = address.signing_key;
    address.invitation->endpoints = {"tcp://127.0.0.1:7201"};
  }
  address.compute_endpoint = "tcp://127.0.0.1:7202";
  address.bulk_endpoint = "tcp://127.0.0.1:7203";
  auto join = [this, worker, address] { pool_.worker(worker).join(address); };
  PuppetOptions options{PuppetRole::kCoordinator, false, address.coordinator, {}};
  options.workers = {pool_.worker(worker).key()};
  options.between = join;
  add_puppet(std::move(options));
  join();
}

MessageGenerator FuzzSession::generator() {
  MessageGenerator generator(seed_ * 64 + puppets_.size(), world_.model.model().cutter(),
                             world_.offers, world_.answers);
  generator.learn_key(pool_.key());
  for (size_t i = 0; i < pool_.workers(); ++i) generator.learn_key(pool_.worker(i).key());
  generator.learn_secret(pool_.invite().secret);
  generator.learn_self_test(kernel_self_test(world_.model.kernels()));
  return generator;
}

PeerKey FuzzSession::next_key() const {
  SeededEntropy entropy(mix64(seed_) + puppets_.size());
  PeerKey key;
  entropy.fill(std::as_writable_bytes(std::span(key.bytes)));
  return key;
}

std::string FuzzSession::hear_out() {
  bool heard = until([&] { return silent(); }, kUntilSilent);
  return heard ? expect_rest() : "the puppets were not heard to the end";
}

// A worker whose key was misused may have been sent away, and is started again once the answers to
// all that was said with its key have come. No other one.
std::string FuzzSession::expect_rest() {
  pool_.run_for(kUntilAnswered);
  for (size_t i = honest_; i < pool_.workers(); ++i) {
    if (!pool_.worker(i).belongs_to(pool_.key())) pool_.strike({FaultKind::kRestart, 0, i, {}});
  }
  bool rest = until([&] { return pool_.at_rest(); }, kFuzzRest);
  std::string left = honest_worker_left();
  if (!left.empty()) return left;
  return rest ? "" : "the pool did not come to rest";
}

std::string FuzzSession::honest_worker_left() const {
  for (size_t i = 0; i < honest_; ++i) {
    const SimWorker& worker = pool_.worker(i);
    if (worker.belongs_to(pool_.key())) continue;
    std::string why = "an honest worker has left:";
    for (const std::string& text : worker.fatal_notices()) why += " " + text;
    return why;
  }
  return "";
}

std::string FuzzSession::generate(uint32_t tokens) {
  auto generated = world_.model.generate(world_.task(tokens), pool_.threads(), pool_.executor());
  if (!generated) return "generation failed: " + generated.error().message;
  return *generated == world_.expected(tokens) ? "" : "other tokens than a solo run's";
}

// When some of them have become members, and again.
std::string FuzzSession::generate_while_they_speak() {
  pool_.run_for(kBetween);
  std::string failure = generate(4);
  for (int i = 0; i < kMoreTimes && failure.empty() && !silent(); ++i) {
    pool_.run_for(kBetween);
    failure = generate(2);
  }
  return failure;
}

bool FuzzSession::until(const std::function<bool()>& condition, Duration limit) {
  auto reached = [&] {
    if (++looks_ % 256 == 0) look_at_memory();
    return condition() || !pool_.violations().empty();
  };
  return pool_.run_until(reached, limit);
}

bool FuzzSession::silent() const {
  return std::all_of(puppets_.begin(), puppets_.end(),
                     [](const Puppet* puppet) { return puppet->done(); });
}

uint64_t FuzzSession::messages() const {
  uint64_t sent = 0;
  for (const Puppet* puppet : puppets_) sent += puppet->sent();
  return sent;
}

void FuzzSession::look_at_memory() {
  memory_.look(memory_in_use());
}

}  // namespace potluck::sim
