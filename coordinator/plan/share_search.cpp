// First all devices are to be done at the same time, by mean values: a level that fills them all,
// like water. Round trips count where that is worth it: among fast devices with little to do a few
// microseconds would decide otherwise. Then the cost model judges, with the chance that a device
// gets more than its part: the slowest devices are left out, or given less, while that makes a
// token faster.
#include "coordinator/plan/share_search.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

namespace potluck {
namespace {

// How many sets of devices are compared: the largest gaps between their speeds are the places to
// cut.
constexpr size_t kCuts = 10;
constexpr double kGap = 1.2;
// What a device has in memory depends on its share, and the share on that.
constexpr int kBalanceRounds = 8;
constexpr int kLevelSteps = 60;
// Shares are made smaller in such steps, of so many groups of like devices.
constexpr double kTrim = 0.8;
constexpr size_t kTrimGroups = 6;
constexpr int kTrimSteps = 6;
// Only of those so much slower than the fastest: among like devices, none is the one to spare.
constexpr double kTrimSlower = 1.5;
// A change of shares must make a token faster by more than this,
constexpr double kWorthIt = 0.005;
// and one that leaves devices out by more than this: every device counts, and the model is not
// exact.
constexpr double kWorthLeavingOut = 0.04;
// Whole slices may look a little slower: they leave nothing to chance.
constexpr double kSureThing = 1.01;
// Of a unit, on average in each layer: less is nothing.
constexpr double kLeastUnits = 0.02;

}  // namespace

ShareSearch::ShareSearch(const PlanModel& model, const PlanLayer& layer, const PlanPool& pool,
                         const CostOptions& options)
    : model_(model), layer_(layer), pool_(pool), options_(options) {
  double bank = std::max(1.0, model.bank_bytes());
  for (const DeviceFacts& device : pool.devices) {
    capacity_.push_back(std::min(1.0, static_cast<double>(device.disk_bytes) / bank));
  }
}

double ShareSearch::unit_time(size_t device, double share) const {
  DeviceLoad load = device_load(model_, layer_, pool_.devices[device], share);
  double units = layer_.top_k * std::min<double>(options_.slices, layer_.grains);
  return load.fixed + load.whole / std::max(1.0, units);
}

std::vector<size_t> ShareSearch::by_unit_time() const {
  size_t count = pool_.devices.size();
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < count; ++i) {
    if (capacity_[i] > 0) order.emplace_back(unit_time(i, 1.0 / static_cast<double>(count)), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<size_t> devices;
  devices.reserve(order.size());
  for (const auto& [time, device] : order) devices.push_back(device);
  return devices;
}

// How many of the fastest devices to try: all, and those before the largest gaps.
std::vector<size_t> ShareSearch::cuts(const std::vector<size_t>& order) const {
  std::vector<std::pair<double, size_t>> gaps;
  double share = 1.0 / static_cast<double>(std::max<size_t>(1, pool_.devices.size()));
  for (size_t i = 1; i < order.size(); ++i) {
    double ratio = unit_time(order[i], share) / unit_time(order[i - 1], share);
    if (ratio >= kGap) gaps.emplace_back(-ratio, i);
  }
  std::sort(gaps.begin(), gaps.end());
  if (gaps.size() > kCuts) gaps.resize(kCuts);
  std::vector<size_t> counts = {order.size()};
  for (const auto& [ratio, count] : gaps) counts.push_back(count);
  std::sort(counts.begin(), counts.end(), std::greater<>());
  return counts;
}

// The level of time to which all devices that take part are filled; without the time of their round
// trips, or with it.
std::vector<double> ShareSearch::filled(const std::vector<bool>& taking,
                                        const std::vector<double>& at, bool with_trips) {
  size_t count = pool_.devices.size();
  std::vector<DeviceLoad> loads(count);
  double high = 0;
  double room = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!taking[i]) continue;
    ++looked_at_;
    loads[i] = device_load(model_, layer_, pool_.devices[i], at[i]);
    if (!with_trips) loads[i].fixed = 0;
    high = std::max(high, loads[i].fixed + loads[i].whole);
    room += capacity_[i];
  }
  auto share_at = [&](size_t i, double level) {
    if (!taking[i]) return 0.0;
    double share = (level - loads[i].fixed) / std::max(loads[i].whole, 1e-12);
    return std::clamp(share, 0.0, capacity_[i]);
  };
  double low = 0;
  double wanted = std::min(1.0, room);
  for (int step = 0; step < kLevelSteps; ++step) {
    double level = (low + high) / 2;
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += share_at(i, level);
    (sum < wanted ? low : high) = level;
  }
  std::vector<double> shares(count);
  for (size_t i = 0; i < count; ++i) shares[i] = share_at(i, high);
  return shares;
}

std::vector<double> ShareSearch::balanced(const std::vector<bool>& taking, bool with_trips) {
  auto takers = static_cast<double>(std::count(taking.begin(), taking.end(), true));
  std::vector<double> shares(pool_.devices.size(), 1 / std::max(1.0, takers));
  for (int round = 0; round < kBalanceRounds; ++round) {
    std::vector<double> next = filled(taking, shares, with_trips);
    // Half way: where memory decides, the whole way would swing to and fro.
    for (size_t i = 0; i < shares.size(); ++i) shares[i] = (shares[i] + next[i]) / 2;
  }
  return filled(taking, shares, with_trips);
}

// Takes the shares if a token is faster with them: by enough, if they leave more devices out.
void ShareSearch::consider(std::vector<double> shares, std::vector<double>* chosen, double* best) {
  double time = cost(shares);
  bool leaves_out = false;
  for (size_t i = 0; i < shares.size(); ++i) {
    leaves_out = leaves_out || (shares[i] <= 0 && (*chosen)[i] > 0);
  }
  double worth = leaves_out ? kWorthLeavingOut : kWorthIt;
  if (*best >= 0 && time >= *best * (1 - worth)) return;
  *best = time;
  *chosen = std::move(shares);
}

double ShareSearch::cost(const std::vector<double>& shares) {
  looked_at_ += shares.size();
  return decode_time(model_, pool_, shares, options_).total();
}

// Shares of the devices order[first .. last) made smaller, and the others' larger where they have
// room. Empty if they have not.
std::vector<double> ShareSearch::with_less(const std::vector<double>& shares, size_t first,
                                           size_t last, const std::vector<size_t>& order) const {
  std::vector<double> changed = shares;
  std::vector<bool> smaller(shares.size(), false);
  double given = 0;
  for (size_t i = first; i < last; ++i) {
    smaller[order[i]] = true;
    given += shares[order[i]] * (1 - kTrim);
    changed[order[i]] *= kTrim;
  }
  double others = 0;
  for (size_t i = 0; i < shares.size(); ++i) others += smaller[i] ? 0 : shares[i];
  if (others <= 0) return {};
  for (size_t i = 0; i < shares.size(); ++i) {
    if (smaller[i]) continue;
    changed[i] += given * shares[i] / others;
    if (changed[i] > capacity_[i]) return {};
  }
  return changed;
}

// The slower a device is, the more a unit too many costs: groups of like devices, slowest first,
// get a little less as long as that helps.
void ShareSearch::trim(std::vector<double>* shares, double* best) {
  std::vector<size_t> order = by_unit_time();
  std::erase_if(order, [&](size_t device) { return (*shares)[device] <= 0; });
  double share = 1.0 / static_cast<double>(pool_.devices.size());
  size_t last = order.size();
  for (size_t group = 0; group < kTrimGroups && last > 0; ++group) {
    size_t first = last - 1;
    while (first > 0 &&
           pool_.devices[order[first - 1]].correction == pool_.devices[order[first]].correction &&
           pool_.devices[order[first - 1]].products == pool_.devices[order[first]].products &&
           pool_.devices[order[first - 1]].disk_rate == pool_.devices[order[first]].disk_rate) {
      --first;
    }
    if (unit_time(order[first], share) < kTrimSlower * unit_time(order[0], share)) break;
    for (int step = 0; step < kTrimSteps; ++step) {
      std::vector<double> less = with_less(*shares, first, last, order);
      if (less.empty()) break;
      double time = cost(less);
      if (time >= *best * (1 - kWorthIt)) break;
      *best = time;
      *shares = std::move(less);
    }
    last = first;
  }
}

// As many whole slices of every expert for each device as come nearest: then no chance is left in
// what falls to whom. Empty if disks have no room for that, or a device would get none.
std::vector<double> ShareSearch::in_whole_slices(const std::vector<double>& shares) const {
  uint32_t slices = std::min(options_.slices, layer_.grains);
  std::vector<double> whole(shares.size(), 0);
  std::vector<double> times(shares.size());
  double one = 1.0 / slices;
  for (size_t i = 0; i < shares.size(); ++i) {
    times[i] = device_load(model_, layer_, pool_.devices[i], shares[i]).whole;
  }
  for (uint32_t slice = 0; slice < slices; ++slice) {
    size_t best = shares.size();
    for (size_t i = 0; i < shares.size(); ++i) {
      if (shares[i] <= 0 || whole[i] + one > capacity_[i] + 1e-9) continue;
      bool sooner =
          best == shares.size() || (whole[i] + one) * times[i] < (whole[best] + one) * times[best];
      if (sooner) best = i;
    }
    if (best == shares.size()) return {};
    whole[best] += one;
  }
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] > 0 && whole[i] <= 0) return {};
  }
  return whole;
}

void ShareSearch::round_slices(std::vector<double>* shares, double* best) {
  std::vector<double> whole = in_whole_slices(*shares);
  if (whole.empty()) return;
  double time = cost(whole);
  if (time > *best * kSureThing) return;
  *best = time;
  *shares = std::move(whole);
}

std::string ShareSearch::why_left_out(size_t device, const std::vector<double>& shares) const {
  if (capacity_[device] <= 0) return "it offers no room on its disk";
  double others = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] <= 0) continue;
    DeviceLoad load = device_load(model_, layer_, pool_.devices[i], shares[i]);
    others = std::max(others, load.fixed + load.whole * shares[i]);
  }
  DeviceLoad load = device_load(model_, layer_, pool_.devices[device], 0.01);
  if (load.fixed >= others) {
    return fmt::format(
        "its round trip takes {:.1f} ms, and the others are done with a layer in {:.1f} ms",
        load.fixed * 1e3, others * 1e3);
  }
  return fmt::format(
      "a single part of an expert would take it {:.1f} ms, and the others are done with a layer in "
      "{:.1f} ms",
      unit_time(device, 0.01) * 1e3, others * 1e3);
}

SharePlan ShareSearch::run() {
  SharePlan plan;
  plan.shares.assign(pool_.devices.size(), 0);
  plan.left_out.resize(pool_.devices.size());
  std::vector<size_t> order = by_unit_time();
  double room = 0;
  for (double capacity : capacity_) room += capacity;
  double best = -1;
  for (size_t count : cuts(order)) {
    std::vector<bool> taking(pool_.devices.size(), false);
    double have = 0;
    for (size_t i = 0; i < count; ++i) {
      taking[order[i]] = true;
      have += capacity_[order[i]];
    }
    // What fits nowhere is computed by the coordinator, which is slower than the slowest device.
    if (have < std::min(1.0, room) - 1e-9) break;
    consider(balanced(taking, false), &plan.shares, &best);
    consider(balanced(taking, true), &plan.shares, &best);
  }
  if (best >= 0) {
    trim(&plan.shares, &best);
    round_slices(&plan.shares, &best);
  }
  double units = layer_.experts * std::min<double>(options_.slices, layer_.grains);
  for (size_t i = 0; i < plan.shares.size(); ++i) {
    if (plan.shares[i] * units < kLeastUnits) plan.shares[i] = 0;
    if (plan.shares[i] <= 0) plan.left_out[i] = why_left_out(i, plan.shares);
  }
  plan.looked_at = looked_at_;
  return plan;
}

}  // namespace potluck
