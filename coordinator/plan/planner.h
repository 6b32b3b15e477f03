// The planner: which part of every layer each device should hold, so that a token takes the least
// time under the memory and disk there are, and what to expect of it. Pure and deterministic; any
// thread. It compares a bounded number of ways to share out by the cost model: thousands of devices
// take seconds.
#pragma once

#include <string>
#include <vector>

#include "coordinator/plan/cost_model.h"

namespace potluck {

struct SharePlan {
  std::vector<double> shares;         // of every layer, by device; they add up to 1 if all fits
  std::vector<std::string> left_out;  // why a device has no share, in words; else empty
  uint64_t looked_at = 0;             // devices, over all the ways that were compared
};

// For so many slices. A device is left out if a token is faster without it, as long as the others
// have room. Where batteries are preferred, so are those that run on theirs, as long as a token
// then takes no more than kBatteryPatience times as long. `pool` comes from with_assumptions().
inline constexpr double kBatteryPatience = 2;
SharePlan plan_shares(const PlanModel& model, const PlanPool& pool, const CostOptions& options);

struct PlannerOptions {
  uint32_t slices = 0;  // 0: as many as is best
  uint32_t prefill_rows = 512;
  double prefetch_recall = 0.5;
  Prefer prefer = Prefer::kSpeed;
};

struct Plan {
  uint32_t slices = 1;
  SharePlan shares;
  PhaseTime decode;   // of one token
  PhaseTime prefill;  // of one chunk
  uint32_t prefill_rows = 0;
  // With how many slices a prompt would be fastest, and how fast.
  uint32_t prefill_slices = 1;
  PhaseTime prefill_alone;
  std::string bottleneck;  // what takes most of a token, in words
  double unplaced = 0;     // part of the experts that fits on no device

  double decode_rate() const { return 1 / decode.total(); }
  double prefill_rate() const { return prefill_rows / prefill.total(); }
};

// `names` of the devices, for the words. A dense model has no shares.
Plan make_plan(const PlanModel& model, const PlanPool& pool, const std::vector<std::string>& names,
               const PlannerOptions& options);

// What a change of the pool would bring.
struct WhatIf {
  std::string change;
  double decode_rate = 0;
  double prefill_rate = 0;
};
std::vector<WhatIf> what_ifs(const PlanModel& model, const PlanPool& pool,
                             const std::vector<std::string>& names, const PlannerOptions& options);

}  // namespace potluck
