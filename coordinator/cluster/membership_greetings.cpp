// How Membership answers greetings: the first at once; repetitions within a pause together, and the
// pause doubles while they keep coming. A worker that restarts in a loop, or greets out of malice,
// then costs a bounded number of placements and assignments.
#include <algorithm>

#include "coordinator/cluster/membership.h"
#include "engine/base/limits.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kSoftwareBytes = 128;
// Of how many keys greetings are remembered. Only keys on the allow list have any.
constexpr size_t kGreetingsKept = 4 * size_t{limits::kWorkers};

}  // namespace

// A greeting costs far more than it takes to say: a Welcome, the rosters of all and an assignment
// came to a hundred kilobytes for each, when each was answered by itself.
void Membership::on_hello(const PeerKey& from, const Hello& hello) {
  auto known = greetings_.find(from);
  if (known == greetings_.end()) {
    admit(from, hello);
    return;
  }
  Greeting& greeting = known->second;
  if (auto clock = clocks_.find(from); clock != clocks_.end()) clock->second.heard(clock_.now());
  // A refusal costs little, and a member that has become unfit must not keep its units until the
  // pause is over.
  bool due = clock_.now() - greeting.answered_at >= greeting.pause || why_not(from, hello);
  if (due) {
    greeting.held.reset();
    admit(from, hello);
  } else if (!is_member(from) || hello != greeting.answered) {
    // A worker that was lost meanwhile is held even if it repeats itself: what it was answered is
    // void.
    greeting.held = hello;
  }
}

void Membership::answer_held_greetings() {
  TimePoint now = clock_.now();
  // Listed first: admit() changes the map that is walked here.
  std::vector<std::pair<PeerKey, Hello>> due;
  for (auto& [peer, greeting] : greetings_) {
    if (!greeting.held || now - greeting.answered_at < greeting.pause) continue;
    due.emplace_back(peer, std::move(*greeting.held));
    greeting.held.reset();
  }
  for (const auto& [peer, hello] : due) admit(peer, hello);
}

void Membership::forget_held_greeting(const PeerKey& from) {
  if (auto known = greetings_.find(from); known != greetings_.end()) known->second.held.reset();
}

void Membership::admit(const PeerKey& from, const Hello& hello) {
  std::optional<Refusal> refusal = why_not(from, hello);
  if (!refusal) {
    welcome(from, hello);
    return;
  }
  if (is_member(from)) lose({{from, "it came back as a worker that cannot be used"}});
  refuse(from, Channel::kCompute, refusal->reason, std::move(refusal->message));
}

void Membership::welcome(const PeerKey& from, const Hello& hello) {
  const WorkerRecord* known = state_.worker(from);
  bool greeted_before = known != nullptr;
  uint32_t number = known != nullptr ? known->number : next_number_++;
  // Most greetings repeat what is known. Telling all workers a roster, or placing all units, only
  // for what has changed keeps one worker's repetitions from costing the whole pool.
  std::string name = clean_text(hello.name, kShownNameBytes);
  bool same_roster =
      known != nullptr && known->name == name && known->bulk_endpoint == hello.bulk_endpoint;
  bool same_place = known != nullptr && known->disk_bytes == hello.disk_bytes;
  // A worker that says Hello knows nothing of what it was asked before.
  if (known != nullptr) reset_workers_.push_back(from);
  state_.apply(WorkerJoined{from, number, std::move(name),
                            clean_text(hello.software, kSoftwareBytes), hello.ram_bytes,
                            hello.disk_bytes, hello.bulk_endpoint});
  if (greet_quarantined(from)) same_place = false;
  clocks_.insert_or_assign(from, PeerClock(clock_.now()));
  if (!first_welcome_) first_welcome_ = clock_.now();
  nudged_at_.erase(from);
  remember_greeting(from, hello);
  notices_.add(state_.describe(from) + (greeted_before ? " greeted again" : " joined"),
               LogLevel::kInfo,
               {{"worker", from.brief()},
                {"name", state_.worker(from)->name},
                {"ram_bytes", hello.ram_bytes},
                {"disk_bytes", hello.disk_bytes}});
  send(from, Channel::kCompute, welcome_of(number));
  if (same_roster) {
    outbox_.add_roster(from);
  } else {
    announce_roster();
  }
  if (!same_place && !state_.worker(from)->quarantine) {
    shares_.workers_changed(clock_.now());
    rebalance(&from);
  } else if (founded_) {
    const std::set<UnitId>& assigned = state_.worker(from)->assigned;
    assign(from, {assigned.begin(), assigned.end()});
  }
}

Welcome Membership::welcome_of(uint32_t number) const {
  auto heartbeat_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(kHeartbeatInterval).count();
  return Welcome{options_.epoch, number, manifest_digest_, manifest_bytes_,
                 static_cast<uint32_t>(heartbeat_ms)};
}

// As if all had greeted again: what they have they say anew, by the new manifest. Nothing else
// would tell of a grain that made way for the manifest on a full disk.
void Membership::manifest_grew() {
  name_manifest();
  const std::map<PeerKey, WorkerRecord> before = state_.workers();
  for (const auto& [peer, worker] : before) {
    state_.apply(WorkerJoined{peer, worker.number, worker.name, worker.software, worker.ram_bytes,
                              worker.disk_bytes, worker.bulk_endpoint});
    if (worker.draining) state_.apply(WorkerDraining{peer});
    send(peer, Channel::kCompute, welcome_of(worker.number));
  }
  rebalance();
  if (!founded_) return;
  // Also those that get no more units: what they hold is understood through the new manifest.
  for (const auto& [peer, worker] : state_.workers()) outbox_.add_assignment(peer);
}

void Membership::assign_missing_again() {
  for (const auto& [peer, worker] : state_.workers()) {
    if (worker.ready.size() < worker.assigned.size()) outbox_.add_assignment(peer);
  }
}

void Membership::remember_greeting(const PeerKey& from, const Hello& hello) {
  forget_greetings();
  TimePoint now = clock_.now();
  auto [entry, fresh] = greetings_.try_emplace(from);
  Greeting& greeting = entry->second;
  bool calm = fresh || now - greeting.answered_at >= kGreetingsForgotten;
  greeting.pause = calm ? kGreetingPause : std::min(2 * greeting.pause, kLongestGreetingPause);
  greeting.answered_at = now;
  greeting.answered = hello;
}

void Membership::forget_greetings() {
  if (greetings_.size() < kGreetingsKept) return;
  TimePoint now = clock_.now();
  std::erase_if(greetings_, [&](const auto& entry) {
    const Greeting& greeting = entry.second;
    return !greeting.held && now - greeting.answered_at >= kLongestGreetingPause;
  });
}

}  // namespace potluck
