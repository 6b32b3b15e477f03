// The cost model: how long a token, or a chunk of a prompt, is likely to take in a pool, term by
// term. Pure and deterministic; any thread. Everything is in seconds and bytes.
//
//   layer = attention at the coordinator
//         + the slowest device that is asked: round trip, reading what is not in memory, products
//         + rows and sums on the wire (the shared expert is computed meanwhile)
//
// Which experts a token needs is random, so a device's part of a layer is: the model takes the
// expected value of the slowest one, over the units that fall to each device and those of them that
// are not in memory. Slices of one expert are either all in memory or none, since the devices that
// have them see the same tokens.
#pragma once

#include <vector>

#include "coordinator/plan/device_facts.h"
#include "coordinator/plan/plan_model.h"

namespace potluck {

struct PlanPool {
  DeviceFacts coordinator;
  std::vector<DeviceFacts> devices;  // the coordinator among them, as `local`, if it has a share
};

// What stands in for facts that are not known: the median of the devices that know, else an
// ordinary laptop on gigabit Ethernet. Rates and times of the result are all above 0, except round
// trips of local devices.
PlanPool with_assumptions(const PlanPool& pool);

struct PhaseTime {
  double attention = 0;  // everything at the coordinator: attention, router, output matrix
  double wire = 0;       // round trips and bytes
  double compute = 0;    // products of the slowest devices
  double disk = 0;       // what reading adds

  double total() const { return attention + wire + compute + disk; }
};

// What a pool spares: time, or the batteries of devices that nothing charges.
enum class Prefer : uint8_t { kSpeed, kBattery };

struct CostOptions {
  uint32_t slices = 1;
  // Share of the misses that are read ahead of time where disks have time for it; measured 0.46 to
  // 0.65.
  double prefetch_recall = 0.5;
  Prefer prefer = Prefer::kSpeed;
};

// `shares[i]`: the part of every layer's units that device i holds, 0 to 1. What is missing to 1
// the coordinator reads from the model file, as the last resort. `pool` comes from
// with_assumptions().
PhaseTime decode_time(const PlanModel& model, const PlanPool& pool,
                      const std::vector<double>& shares, const CostOptions& options);
// Of a chunk of so many rows.
PhaseTime prefill_time(const PlanModel& model, const PlanPool& pool,
                       const std::vector<double>& shares, const CostOptions& options,
                       uint32_t rows);

// --- of one device, for those who share out ------------------------------------------------------

// What the device would need for the whole of a layer's work of one token, if it held this share:
// how much of it is in memory depends on that.
struct DeviceLoad {
  double fixed = 0;  // before it answers at all
  double whole = 0;  // if every unit fell to it
};
DeviceLoad device_load(const PlanModel& model, const PlanLayer& layer, const DeviceFacts& device,
                       double share);
// Share of a device's lookups that are in memory.
double hit_rate(const PlanModel& model, const PlanLayer& layer, const DeviceFacts& device,
                double share);
// The layer with most experts' bytes; null in a dense model.
const PlanLayer* main_layer(const PlanModel& model);
// Of weights in these formats, per second.
double product_rate(const DeviceFacts& device, const std::vector<FormatBytes>& parts,
                    bool many_rows);

}  // namespace potluck
