#include "coordinator/plan/planner.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "coordinator/plan/share_search.h"

namespace potluck {
namespace {

constexpr uint32_t kSlicesTried[] = {1, 2, 3, 4, 6, 8};
// What a cable makes of a wireless device.
constexpr double kCableRoundTrip = 0.25e-3;
constexpr double kCableRate = 117.5e6;
constexpr double kWireless = 1e-3;  // round trips from here on could be a cable's

std::string ms(double seconds) {
  return fmt::format("{:.1f} ms", seconds * 1e3);
}

// The device for which the others wait longest, and what takes its time.
std::string slowest_device(const PlanModel& model, const PlanLayer& layer, const PlanPool& pool,
                           const std::vector<std::string>& names,
                           const std::vector<double>& shares) {
  size_t slowest = shares.size();
  double longest = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] <= 0) continue;
    DeviceLoad load = device_load(model, layer, pool.devices[i], shares[i]);
    double time = load.fixed + load.whole * shares[i];
    if (time <= longest) continue;
    longest = time;
    slowest = i;
  }
  if (slowest == shares.size()) return "";
  const DeviceFacts& device = pool.devices[slowest];
  double bytes = layer.top_k * layer.expert_bytes() * shares[slowest];
  double compute = bytes / product_rate(device, layer.expert, false);
  double disk = (1 - hit_rate(model, layer, device, shares[slowest])) * bytes / device.disk_rate;
  double trip = device.local ? 0 : device.round_trip;
  const std::string& name = names[slowest];
  if (trip >= compute && trip >= disk) {
    return fmt::format("the round trip to {}: {} a layer", name, ms(trip));
  }
  if (disk >= compute) {
    return fmt::format(
        "the disk of {}: it reads for {} a layer ({:.0f} % of what it needs is in "
        "its memory)",
        name, ms(disk), 100 * hit_rate(model, layer, device, shares[slowest]));
  }
  return fmt::format("the products of {}: {} a layer", name, ms(compute));
}

std::string find_bottleneck(const PlanModel& model, const PlanPool& pool,
                            const std::vector<std::string>& names, const Plan& plan) {
  const PlanLayer* layer = main_layer(model);
  bool attention = plan.decode.attention >= plan.decode.total() / 2;
  if (attention || layer == nullptr) {
    return fmt::format("the coordinator: attention and what every token uses take {} of {}",
                       ms(plan.decode.attention), ms(plan.decode.total()));
  }
  if (plan.unplaced > 0.001) {
    return fmt::format(
        "disk space: {:.0f} % of the experts fit on no device, and the coordinator "
        "reads them from the model file",
        100 * plan.unplaced);
  }
  return slowest_device(model, *layer, pool, names, plan.shares.shares);
}

CostOptions cost_options(const PlannerOptions& options, uint32_t slices) {
  return {slices, options.prefetch_recall, options.prefer};
}

std::vector<uint32_t> slices_to_try(const PlanLayer& layer, uint32_t wanted) {
  if (wanted > 0) return {wanted};
  std::vector<uint32_t> slices;
  for (uint32_t count : kSlicesTried) {
    if (count <= layer.grains) slices.push_back(count);
  }
  return slices;
}

void choose(const PlanModel& model, const PlanPool& pool, const PlannerOptions& options,
            Plan* plan) {
  const PlanLayer* layer = main_layer(model);
  uint64_t looked_at = 0;
  bool first = true;
  for (uint32_t slices : slices_to_try(*layer, options.slices)) {
    CostOptions cost = cost_options(options, slices);
    SharePlan shares = plan_shares(model, pool, cost);
    looked_at += shares.looked_at;
    PhaseTime decode = decode_time(model, pool, shares.shares, cost);
    PhaseTime prefill = prefill_time(model, pool, shares.shares, cost, options.prefill_rows);
    if (first || prefill.total() < plan->prefill_alone.total()) {
      plan->prefill_alone = prefill;
      plan->prefill_slices = slices;
    }
    // More slices are more messages: they must be worth it.
    if (first || decode.total() < plan->decode.total() * 0.99) {
      plan->decode = decode;
      plan->prefill = prefill;
      plan->slices = slices;
      plan->shares = std::move(shares);
    }
    first = false;
  }
  plan->shares.looked_at = looked_at;
  double placed = 0;
  for (double share : plan->shares.shares) placed += share;
  plan->unplaced = std::max(0.0, 1 - placed);
}

}  // namespace

namespace {

// Everything to devices that are charged, if they have room for it and are not too slow.
void spare_batteries(const PlanModel& model, const PlanLayer& layer, const PlanPool& pool,
                     const CostOptions& options, SharePlan* plan) {
  PlanPool charged = pool;
  bool any = false;
  for (size_t i = 0; i < pool.devices.size(); ++i) {
    if (!pool.devices[i].on_battery || pool.devices[i].local) continue;
    any = any || plan->shares[i] > 0;
    charged.devices[i].disk_bytes = 0;
  }
  if (!any) return;
  SharePlan other = ShareSearch(model, layer, charged, options).run();
  auto placed = [](const SharePlan& of) {
    return std::accumulate(of.shares.begin(), of.shares.end(), 0.0);
  };
  plan->looked_at += other.looked_at;
  if (placed(other) < placed(*plan) - 1e-6) return;
  const double fast = decode_time(model, pool, plan->shares, options).total();
  const double slow = decode_time(model, pool, other.shares, options).total();
  if (slow > kBatteryPatience * fast) return;
  other.looked_at = plan->looked_at;
  for (size_t i = 0; i < pool.devices.size(); ++i) {
    if (charged.devices[i].disk_bytes > 0 || pool.devices[i].disk_bytes == 0) continue;
    other.left_out[i] = fmt::format(
        "it runs on battery: without those that do, a token takes {} instead of {} "
        "(--prefer speed would use it)",
        ms(slow), ms(fast));
  }
  *plan = std::move(other);
}

}  // namespace

SharePlan plan_shares(const PlanModel& model, const PlanPool& pool, const CostOptions& options) {
  const PlanLayer* layer = main_layer(model);
  if (layer == nullptr || pool.devices.empty()) {
    return {std::vector<double>(pool.devices.size(), 0),
            std::vector<std::string>(pool.devices.size()), 0};
  }
  SharePlan plan = ShareSearch(model, *layer, pool, options).run();
  if (options.prefer == Prefer::kBattery) spare_batteries(model, *layer, pool, options, &plan);
  return plan;
}

Plan make_plan(const PlanModel& model, const PlanPool& pool, const std::vector<std::string>& names,
               const PlannerOptions& options) {
  PlanPool complete = with_assumptions(pool);
  Plan plan;
  plan.prefill_rows = options.prefill_rows;
  if (main_layer(model) != nullptr) {
    choose(model, complete, options, &plan);
  } else {
    plan.shares = plan_shares(model, complete, CostOptions{});
    plan.decode = decode_time(model, complete, plan.shares.shares, {});
    plan.prefill = plan.prefill_alone =
        prefill_time(model, complete, plan.shares.shares, {}, options.prefill_rows);
  }
  plan.bottleneck = find_bottleneck(model, complete, names, plan);
  return plan;
}

std::vector<WhatIf> what_ifs(const PlanModel& model, const PlanPool& pool,
                             const std::vector<std::string>& names, const PlannerOptions& options) {
  std::vector<WhatIf> changes;
  auto add = [&](std::string change, const PlanPool& changed) {
    std::vector<std::string> all = names;
    all.resize(changed.devices.size(), "one more");
    Plan plan = make_plan(model, changed, all, options);
    changes.push_back({std::move(change), plan.decode_rate(), plan.prefill_rate()});
  };
  for (size_t i = 0; i < pool.devices.size(); ++i) {
    if (pool.devices[i].local) continue;
    PlanPool more = pool;
    more.devices.push_back(pool.devices[i]);
    add("one more device like " + names[i], more);
    break;
  }
  PlanPool memory = pool;
  for (DeviceFacts& device : memory.devices) device.ram_bytes *= 2;
  if (!pool.devices.empty()) add("twice the memory for experts on every device", memory);
  PlanPool cable = pool;
  uint32_t wireless = 0;
  for (DeviceFacts& device : cable.devices) {
    if (device.local || device.round_trip < kWireless) continue;
    device.round_trip = kCableRoundTrip;
    device.link_rate = std::max(device.link_rate, kCableRate);
    ++wireless;
  }
  if (wireless > 0) {
    add(fmt::format("a cable (0.25 ms) for the {} device{} with slow round trips", wireless,
                    wireless == 1 ? "" : "s"),
        cable);
  }
  return changes;
}

}  // namespace potluck
