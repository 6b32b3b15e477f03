#include "coordinator/cluster/share_keeper.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "coordinator/cluster/placement.h"
#include "coordinator/plan/median.h"
#include "coordinator/plan/observed_correction.h"
#include "coordinator/plan/planner.h"

namespace potluck {
namespace {

// Units are padded, and disks are not filled to the brim.
constexpr double kDiskUsed = 0.93;

constexpr double kFirstOwnShare = 0.25;
bool within(double a, double b, double factor) {
  return a <= b * factor && b <= a * factor;
}

}  // namespace

DeviceFacts facts_of(const PeerKey& key, const WorkerRecord& worker, const PoolLearning* learned) {
  DeviceFacts facts = worker.facts;
  facts.ram_bytes = worker.ram_bytes;
  facts.disk_bytes = std::min(worker.disk_bytes, worker.room_bytes);
  if (uint64_t cache = worker.health.use.cache_bytes; cache > 0) {
    facts.ram_bytes = std::min(facts.ram_bytes, cache);
  }
  facts.on_battery = worker.health.on_battery;
  const bool goes = worker.draining || worker.health.pauses();
  facts.health = goes ? 0 : worker.health.share / 100.0;
  if (learned == nullptr) return facts;
  ObservedSpeeds::Seen seen = learned->speeds.of(key);
  facts.round_trip = seen.round_trip;
  facts.round_trip_seen = seen.round_trip > 0;
  facts.link_rate = seen.link_rate;
  facts.observed_rate = seen.rate;
  facts.observed_many_rate = seen.many_rate;
  return facts;
}

ShareKeeper::ShareKeeper(const Manifest& manifest, uint32_t top_k, uint32_t slices,
                         const PoolLearning* learned, const std::optional<DeviceFacts>& own,
                         Prefer prefer)
    : model_(plan_model(manifest, top_k)),
      slices_(slices),
      prefer_(prefer),
      learned_(learned),
      own_(own) {
  // Until it is known what the workers can do: what fits, but not more than a worker's part in a
  // small pool.
  own_share_ = std::min(own_room(), kFirstOwnShare);
}

double ShareKeeper::own_room() const {
  if (!own_) return 0;
  return std::min(1.0, static_cast<double>(own_->ram_bytes) / std::max(1.0, model_.bank_bytes()));
}

void ShareKeeper::speed_changed(TimePoint now, bool first) {
  has_news_ = has_news_ || first;
  TimePoint soon = now + kSettle;
  look_at_ = look_at_ ? std::min(*look_at_, soon) : soon;
}

bool ShareKeeper::look(const ClusterState& state, TimePoint now) {
  if (!look_at_ || now < *look_at_) return false;
  bool any = std::any_of(state.workers().begin(), state.workers().end(),
                         [](const auto& w) { return w.second.facts.says_its_speed(); });
  // What is seen of workers that say nothing changes nothing, so there is no need to look again.
  look_at_.reset();
  has_news_ = false;
  if (any) look_at_ = now + kInterval;
  double own = own_share_;
  Shares next = any ? planned(state, &own) : Shares();
  keep_similar(&next);
  auto weights_differ = [&] {
    return std::any_of(state.workers().begin(), state.workers().end(), [&](const auto& w) {
      auto found = next.find(w.first);
      return weight(w.first) != (found == next.end() ? 1 : found->second.weight);
    });
  };
  bool own_differs = !within(std::max(own, 1e-3), std::max(own_share_, 1e-3), kTolerance);
  bool different = weights_differ() || own_differs;
  if (own_differs) own_share_ = own;
  shares_ = std::move(next);
  return different;
}

ShareKeeper::Shares ShareKeeper::planned(const ClusterState& state, double* own_share) const {
  std::vector<PeerKey> keys;
  std::vector<double> held;  // shares, by what is assigned
  PlanPool pool;
  auto units = static_cast<double>(std::max<uint64_t>(1, state.units_assigned()));
  for (const auto& [key, worker] : state.workers()) {
    keys.push_back(key);
    held.push_back(static_cast<double>(worker.assigned.size()) / units);
    DeviceFacts facts = facts_of(key, worker, learned_);
    // A worker that says nothing counts as fast as the others, until it shows what it does.
    facts.disk_bytes =
        static_cast<uint64_t>(kDiskUsed * std::min(static_cast<double>(facts.disk_bytes), 1e18));
    pool.devices.push_back(std::move(facts));
  }
  if (own_) {
    pool.devices.push_back(*own_);
    pool.devices.back().disk_bytes = own_->ram_bytes;
    held.push_back(own_share_);
  }
  CostOptions options;
  options.slices = slices_;
  options.prefer = prefer_;
  pool = with_assumptions(pool);
  correct_by_observation(model_, held, &pool);
  SharePlan plan = plan_shares(model_, pool, options);
  if (own_) {
    *own_share = plan.shares.back();
    plan.shares.pop_back();
  }
  double largest = 0;
  double smallest = 1;
  for (double share : plan.shares) {
    largest = std::max(largest, share);
    smallest = std::min(smallest, share);
  }
  Shares shares;
  bool alike = largest <= 0 || within(largest, smallest, kTolerance);
  for (size_t i = 0; i < keys.size(); ++i) {
    Share& share = shares[keys[i]];
    share.left_out = plan.left_out[i];
    if (alike) continue;
    double part = std::round(kFullWeight * plan.shares[i] / largest);
    share.weight = plan.shares[i] > 0 ? std::max(1u, static_cast<uint32_t>(part)) : 0;
  }
  return shares;
}

// Where what is planned now is like what holds, what holds stays.
void ShareKeeper::keep_similar(Shares* planned) const {
  for (auto& [key, share] : *planned) {
    auto before = shares_.find(key);
    if (before == shares_.end()) continue;
    uint32_t held = before->second.weight;
    bool both = held > 1 && share.weight > 1;
    if (both && within(held, share.weight, kTolerance)) share.weight = held;
  }
}

uint32_t ShareKeeper::weight(const PeerKey& worker) const {
  auto found = shares_.find(worker);
  if (found != shares_.end()) return found->second.weight;
  std::vector<uint32_t> weights;
  for (const auto& [key, share] : shares_) {
    if (share.weight > 0) weights.push_back(share.weight);
  }
  return weights.empty() ? 1 : median(std::move(weights));
}

std::string ShareKeeper::left_out(const PeerKey& worker) const {
  auto found = shares_.find(worker);
  return found == shares_.end() ? std::string() : found->second.left_out;
}

}  // namespace potluck
