// A layer waits for its slowest worker, so counts come before everything else; then slices of
// one expert go apart, since a token that uses the expert uses all of them at once; then as little
// moves as possible. Ties are broken by numbers throughout: the same workers get the same units in
// every run.
#include "coordinator/cluster/layer_placer.h"

#include <algorithm>
#include <deque>
#include <tuple>

namespace potluck {
namespace {

// Searches fail where disks are so uneven that slices cannot all be kept apart. They are not cheap,
// and the next one is not likely to succeed.
constexpr uint32_t kFailedSearches = 16;

}  // namespace

LayerPlacer::LayerPlacer(uint32_t experts, uint32_t slices, std::vector<PlacerWorker> workers)
    : slices_(slices),
      workers_(std::move(workers)),
      owners_(size_t{experts} * slices, -1),
      units_of_(workers_.size()),
      quotas_(workers_.size(), 0),
      siblings_(size_t{experts} * workers_.size(), 0),
      released_(experts, 0),
      sibling_limits_(workers_.size(), 0) {
  for (const PlacerWorker& worker : workers_) heaviest_ = std::max(heaviest_, worker.weight);
  uneven_ = std::any_of(workers_.begin(), workers_.end(), [this](const PlacerWorker& worker) {
    return worker.weight != 0 && worker.weight != heaviest_;
  });
  for (uint32_t i = 0; i < worker_count(); ++i) {
    if (workers_[i].weight == 0) workers_[i].capacity = 0;
    if (workers_[i].copies.empty()) continue;
    has_copy_.resize(workers_.size() * owners_.size(), false);
    for (uint32_t unit : workers_[i].copies) has_copy_[i * owners_.size() + unit] = true;
  }
}

// The order matters: quotas favor workers that hold much already, so holdings are put first; what
// goes beyond a quota is released before anything is placed, so that it can be placed in the same
// pass.
std::vector<int32_t> LayerPlacer::place() {
  keep_holdings();
  set_quotas();
  set_sibling_limits();
  for (uint32_t worker = 0; worker < worker_count(); ++worker) release_surplus(worker);
  for (uint32_t unit = 0; unit < owners_.size(); ++unit) {
    if (owners_[unit] < 0) place_unit(unit);
  }
  return owners_;
}

uint32_t& LayerPlacer::siblings(uint32_t expert, uint32_t worker) {
  return siblings_[size_t{expert} * workers_.size() + worker];
}

void LayerPlacer::put(uint32_t unit, uint32_t worker) {
  owners_[unit] = static_cast<int32_t>(worker);
  units_of_[worker].push_back(unit);
  ++siblings(expert_of(unit), worker);
}

void LayerPlacer::take_away(uint32_t unit) {
  auto worker = static_cast<uint32_t>(owners_[unit]);
  owners_[unit] = -1;
  std::erase(units_of_[worker], unit);
  --siblings(expert_of(unit), worker);
}

void LayerPlacer::keep_holdings() {
  for (uint32_t worker = 0; worker < worker_count(); ++worker) {
    for (uint32_t unit : workers_[worker].holding) {
      if (owners_[unit] < 0) put(unit, worker);
    }
  }
  // Whose holder is gone: who has a copy takes its place.
  for (uint32_t worker = 0; worker < worker_count(); ++worker) {
    for (uint32_t unit : workers_[worker].copies) {
      if (owners_[unit] < 0 && workers_[worker].weight > 0) put(unit, worker);
    }
  }
}

// What a worker gets at a level, which counts the units of the heaviest worker in parts of its
// weight: the heaviest gets whole numbers of units at whole multiples of that.
uint64_t LayerPlacer::share_at(uint64_t level, const PlacerWorker& worker) const {
  return level * worker.weight / (uint64_t{heaviest_} * heaviest_);
}

// The largest level to which every worker's quota can be filled (or until its disk is full) without
// using more units than there are.
uint64_t LayerPlacer::fair_level() const {
  uint64_t low = 0;
  // There even a worker of weight 1 has all units.
  uint64_t high = owners_.size() * uint64_t{heaviest_} * heaviest_;
  while (low < high) {
    uint64_t level = (low + high + 1) / 2;
    uint64_t used = 0;
    for (const PlacerWorker& worker : workers_) {
      used += std::min<uint64_t>(worker.capacity, share_at(level, worker));
    }
    if (used <= owners_.size()) {
      low = level;
    } else {
      high = level - 1;
    }
  }
  return low;
}

// Every worker gets its share of the level; the units left over go, one each, first to workers that
// already hold more than that, then to those that got least for their weight in earlier layers.
void LayerPlacer::set_quotas() {
  uint64_t level = fair_level();
  uint64_t left = owners_.size();
  std::vector<std::tuple<bool, uint64_t, uint32_t>> next;
  for (uint32_t i = 0; i < worker_count(); ++i) {
    const PlacerWorker& worker = workers_[i];
    uint64_t share = share_at(level, worker);
    quotas_[i] = static_cast<uint32_t>(std::min<uint64_t>(worker.capacity, share));
    left -= quotas_[i];
    // Its disk is full at the level.
    if (worker.capacity <= share) continue;
    // With this unit, were it to get it: a light worker's turn comes when that is its share.
    uint64_t load = (worker.load + quotas_[i] + 1) * heaviest_ / worker.weight;
    next.emplace_back(units_of_[i].size() <= share, load, i);
  }
  std::sort(next.begin(), next.end());
  for (size_t i = 0; i < next.size() && i < left; ++i) ++quotas_[std::get<uint32_t>(next[i])];
}

void LayerPlacer::set_sibling_limits() {
  auto takers = static_cast<uint32_t>(
      std::count_if(quotas_.begin(), quotas_.end(), [](uint32_t quota) { return quota > 0; }));
  if (takers == 0) return;
  // With fewer workers than slices some have to share; then as few as possible on each. A worker
  // with more than its equal part has as many of each expert as come to that.
  auto experts = static_cast<uint32_t>(released_.size());
  for (uint32_t i = 0; i < worker_count(); ++i) {
    uint32_t equal = (slices_ + takers - 1) / takers;
    uint32_t own = (quotas_[i] + experts - 1) / experts;
    sibling_limits_[i] = std::min(slices_, uneven_ ? own : std::max(equal, own));
  }
}

void LayerPlacer::release_surplus(uint32_t worker) {
  while (true) {
    int64_t unit = unit_to_release(worker);
    if (unit < 0) return;
    take_away(static_cast<uint32_t>(unit));
    ++released_[expert_of(static_cast<uint32_t>(unit))];
  }
}

// The unit that leaves first: one with the most siblings beside it; then one of an expert of which
// least was released so far (a newcomer is to get slices of many experts); then the highest number.
// -1: nothing has to go.
int64_t LayerPlacer::unit_to_release(uint32_t worker) {
  using Rank = std::tuple<uint32_t, int64_t, uint32_t>;
  Rank best{0, 0, 0};
  int64_t chosen = -1;
  for (uint32_t unit : units_of_[worker]) {
    uint32_t expert = expert_of(unit);
    Rank rank{siblings(expert, worker), -int64_t{released_[expert]}, unit};
    if (chosen >= 0 && rank < best) continue;
    best = rank;
    chosen = unit;
  }
  bool crowded = chosen >= 0 && std::get<0>(best) > sibling_limit(worker);
  return units_of_[worker].size() > quotas_[worker] || crowded ? chosen : -1;
}

void LayerPlacer::place_unit(uint32_t unit) {
  int64_t worker = best_worker(unit, false);
  if (worker < 0) {
    // Better beside a sibling than nowhere, but others may make room for it elsewhere.
    worker = best_worker(unit, true);
    if (worker < 0) return;
    if (failed_searches_ < kFailedSearches) {
      if (make_room(unit)) return;
      ++failed_searches_;
    }
  }
  put(unit, static_cast<uint32_t>(worker));
}

// Among those with room and fewer units of the expert than they may have (`crowded`: any number):
// one that has the unit on its disk, fewest of them, most room, least load. Where weights differ,
// the part of the quota that is left counts instead: then each expert's slices are divided like all
// units are.
int64_t LayerPlacer::best_worker(uint32_t unit, bool crowded) {
  using Rank = std::tuple<bool, uint32_t, int64_t, uint64_t>;
  Rank best;
  int64_t chosen = -1;
  uint32_t expert = expert_of(unit);
  for (uint32_t i = 0; i < worker_count(); ++i) {
    uint32_t limit = crowded ? slices_ : sibling_limit(i);
    if (!has_room(i) || siblings(expert, i) >= limit) continue;
    auto room = static_cast<int64_t>(quotas_[i] - units_of_[i].size());
    if (uneven_) room = (room << 20) / quotas_[i];
    bool copy = !has_copy_.empty() && has_copy_[i * owners_.size() + unit];
    uint32_t beside = uneven_ ? 0 : siblings(expert, i);
    Rank rank{!copy, beside, -room, workers_[i].load};
    if (chosen >= 0 && rank >= best) continue;
    best = rank;
    chosen = i;
  }
  return chosen;
}

// Every worker that may take the unit is full, and those with room hold its siblings: looks for the
// shortest chain of moves (an augmenting path) that ends where there is room, and makes them.
bool LayerPlacer::make_room(uint32_t unit) {
  std::vector<Step> steps(workers_.size());
  int64_t end = find_room(unit, steps);
  if (end < 0) return false;
  auto worker = static_cast<uint32_t>(end);
  for (; steps[worker].from >= 0; worker = static_cast<uint32_t>(steps[worker].from)) {
    // From the end, where there is room, back to the beginning: each move fills the place that the
    // one before has just vacated.
    take_away(steps[worker].moved);
    put(steps[worker].moved, worker);
  }
  put(unit, worker);
  return true;
}

// Breadth first; the worker with room, or -1.
int64_t LayerPlacer::find_room(uint32_t unit, std::vector<Step>& steps) {
  // Each worker is visited once, by the shortest way, so a chain is never longer than the pool is
  // large.
  std::deque<uint32_t> queue;
  auto visit = [&](uint32_t moved, int64_t from) {
    for (uint32_t next = 0; next < worker_count(); ++next) {
      if (steps[next].seen || quotas_[next] == 0) continue;
      if (siblings(expert_of(moved), next) >= sibling_limit(next)) continue;
      steps[next] = {true, from, moved};
      queue.push_back(next);
    }
  };
  visit(unit, -1);
  for (; !queue.empty(); queue.pop_front()) {
    uint32_t worker = queue.front();
    if (has_room(worker)) return worker;
    // What came last moves first: it is likely not to be there yet.
    for (size_t i = units_of_[worker].size(); i-- > 0;) visit(units_of_[worker][i], worker);
  }
  return -1;
}

}  // namespace potluck
