#include "coordinator/plan/cost_model.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "coordinator/plan/expected_maximum.h"
#include "coordinator/plan/median.h"

namespace potluck {
namespace {

// An ordinary laptop on gigabit Ethernet (docs/PERFORMANCE.md).
constexpr double kUsualOneRow = 20e9;
constexpr double kUsualManyRows = 80e9;
constexpr double kUsualDisk = 1e9;
constexpr double kUsualLink = 117.5e6;
constexpr double kUsualRoundTrip = 0.25e-3;

constexpr double kAttentionFixed = 50e-6;  // of a layer, beside its weights
constexpr double kWake = 60e-6;  // threads and sockets, at a worker and at the coordinator
constexpr double kDiskLatency = 120e-6;
constexpr double kLeastMessage = 15e-6;  // handling one
// On a shared medium every message waits for its turn: about this part of a round trip.
constexpr double kMessageShare = 1.0 / 15;
constexpr double kHeaderBytes = 64;
constexpr double kOverfetch = 1.4;  // bytes read ahead for each that is used
// The last resort reads experts as they are in the file, and lays them out.
constexpr double kLastResortSlowdown = 2;

using Rate = std::function<double(const DeviceFacts&)>;

double median_of(const PlanPool& pool, const Rate& rate, double otherwise) {
  std::vector<double> known;
  for (const DeviceFacts& device : pool.devices) {
    if (rate(device) > 0) known.push_back(rate(device));
  }
  return known.empty() ? otherwise : median(std::move(known));
}

double mean_rate(const DeviceFacts& device, bool many_rows) {
  double sum = 0;
  uint32_t known = 0;
  for (const ProductSpeed& speed : device.products) {
    uint64_t rate = many_rows ? speed.many_rows : speed.one_row;
    if (rate == 0) continue;
    sum += static_cast<double>(rate);
    ++known;
  }
  return known == 0 ? 0 : sum / known;
}

double format_rate(const DeviceFacts& device, TensorType format, bool many_rows) {
  for (const ProductSpeed& speed : device.products) {
    uint64_t rate = many_rows ? speed.many_rows : speed.one_row;
    if (speed.format == format && rate > 0) return static_cast<double>(rate);
  }
  return mean_rate(device, many_rows);
}

double message_time(const DeviceFacts& device) {
  if (device.round_trip_seen) return kLeastMessage;
  return std::max(kLeastMessage, device.round_trip * kMessageShare);
}

double fixed_time(const DeviceFacts& device) {
  if (device.local) return 0;
  return device.round_trip + (device.round_trip_seen ? 0 : kWake);
}

// Reading and products side by side: the first unit is read before anything is computed.
double overlapped(double disk, double compute, double units) {
  return std::max(disk, compute) + std::min(disk, compute) / std::max(units, 1.0);
}

// How a device's part of one layer and token comes out.
struct DevicePart {
  double unit_bytes = 0;
  double compute_rate = 0;
  double disk_rate = 0;
  double miss = 0;
  double fixed = 0;
  uint32_t top_k = 0;
  double always = 0;     // units that fall to it in any case
  double sometimes = 0;  // probability of one more, for each expert used
  double correction = 1;

  double time(double units, double misses, bool with_disk) const {
    if (units <= 0) return 0;
    double bytes = units * unit_bytes;
    double compute = bytes / compute_rate;
    if (!with_disk || misses <= 0) return fixed + compute / correction;
    double disk = misses * unit_bytes / disk_rate + kDiskLatency * std::min(1.0, misses);
    return fixed + overlapped(disk, compute, units) / correction;
  }
  RandomTime distribution(bool with_disk) const;
  RandomTime round_trip() const;
  double touched() const {
    return always > 0 ? 1 : 1 - std::pow(1 - sometimes, static_cast<double>(top_k));
  }
};

RandomTime DevicePart::distribution(bool with_disk) const {
  RandomTime random;
  std::vector<double> units = binomial(top_k, sometimes);
  bool reads = with_disk && miss > 0;
  for (uint32_t n = 0; n <= top_k; ++n) {
    if (units[n] < 1e-12) continue;
    std::vector<double> misses = binomial(reads ? n : 0, miss);
    for (uint32_t m = 0; m < misses.size(); ++m) {
      double probability = units[n] * misses[m];
      if (probability < 1e-12) continue;
      random.values.push_back(
          {time(always + n, reads ? always * miss + m : 0, with_disk), probability});
    }
  }
  return random;
}

RandomTime DevicePart::round_trip() const {
  return {{{0, 1 - touched()}, {fixed, touched()}}, 1};
}

DevicePart part_of(const PlanModel& model, const PlanLayer& layer, const DeviceFacts& device,
                   double share, uint32_t slices) {
  DevicePart part;
  double pieces = std::min(slices, layer.grains);
  part.unit_bytes = layer.expert_bytes() / pieces;
  part.compute_rate = product_rate(device, layer.expert, false);
  part.disk_rate = device.disk_rate;
  part.miss = 1 - hit_rate(model, layer, device, share);
  part.fixed = fixed_time(device);
  part.top_k = layer.top_k;
  double each = share * pieces;  // slices of one expert
  double whole = std::floor(each + 1e-9);
  part.always = whole * layer.top_k;
  part.sometimes = std::clamp(each - whole, 0.0, 1.0);
  part.correction = device.correction;
  return part;
}

// What the coordinator's link carries for one layer, given how likely each device is asked.
double wire_time(const PlanPool& pool, const PlanLayer& layer, const std::vector<double>& touched,
                 double rows) {
  double bytes = 0;
  double messages = 0;
  double fastest = 0;
  double wake = 0;
  for (size_t i = 0; i < pool.devices.size(); ++i) {
    const DeviceFacts& device = pool.devices[i];
    if (device.local || touched[i] <= 0) continue;
    double one = rows * (layer.sent_row_bytes + layer.returned_row_bytes) + 2 * kHeaderBytes;
    bytes += touched[i] * one;
    messages += touched[i] * 2 * message_time(device);
    if (!device.round_trip_seen) wake = kWake;
    fastest = std::max(fastest, device.link_rate);
  }
  if (fastest <= 0) return 0;
  double own = pool.coordinator.link_rate > 0 ? pool.coordinator.link_rate : fastest;
  return bytes / own + messages + wake;
}

struct Round {
  double wire = 0;
  double compute = 0;
  double disk = 0;
  double total() const { return wire + compute + disk; }
};

Round round_of(const PlanPool& pool, const PlanLayer& layer, const std::vector<DevicePart>& parts) {
  std::vector<RandomTime> all;
  std::vector<RandomTime> in_memory;
  std::vector<RandomTime> trips;
  std::vector<double> touched;
  for (const DevicePart& part : parts) {
    touched.push_back(part.touched());
    if (part.always + part.sometimes <= 0) continue;
    all.push_back(part.distribution(true));
    in_memory.push_back(part.distribution(false));
    trips.push_back(part.round_trip());
  }
  Round round;
  double trip = expected_maximum(trips);
  double memory = std::max(trip, expected_maximum(in_memory));
  round.wire = trip + wire_time(pool, layer, touched, 1);
  round.compute = memory - trip;
  round.disk = std::max(0.0, expected_maximum(all) - memory);
  return round;
}

// How much of what could be read ahead the disks have time for, if a layer takes so long without,
// of which it waits for disks so long. A disk reads everything that misses, ahead or not, and some
// for nothing; and a layer gets shorter by what was read ahead: a disk that is busy all the time
// gains nothing.
double time_to_prefetch(const std::vector<DevicePart>& parts, double layer_time, double disk_time,
                        double recall) {
  double fits = 1;
  for (const DevicePart& part : parts) {
    double units = part.always + part.sometimes * part.top_k;
    double reads = units * part.miss * part.unit_bytes / part.disk_rate;
    double each = recall * ((kOverfetch - 1) * reads + disk_time);
    if (reads <= 0 || each <= 0) continue;
    fits = std::min(fits, std::max(0.0, layer_time - reads) / each);
  }
  return fits;
}

double weights_time(const DeviceFacts& device, const std::vector<FormatBytes>& parts, double rows) {
  if (parts.empty()) return 0;
  return rows * total_bytes(parts) / product_rate(device, parts, rows > 1);
}

void add_missing(const PlanPool& pool, const PlanLayer& layer, const std::vector<double>& shares,
                 double experts, PhaseTime* time) {
  double placed = 0;
  for (double share : shares) placed += share;
  double missing = std::max(0.0, 1 - placed);
  if (missing < 1e-9) return;
  time->disk += layer.count * missing * experts * layer.expert_bytes() * kLastResortSlowdown /
                pool.coordinator.disk_rate;
}

void add_round(const PlanPool& pool, const PlanLayer& layer, Round round, double rows,
               PhaseTime* time) {
  // The shared expert is computed while the others are away; what takes longer is seen.
  double shared = weights_time(pool.coordinator, layer.shared, rows);
  time->attention += layer.count * std::max(0.0, shared - round.total());
  time->wire += layer.count * round.wire;
  time->compute += layer.count * round.compute;
  time->disk += layer.count * round.disk;
}

}  // namespace

double product_rate(const DeviceFacts& device, const std::vector<FormatBytes>& parts,
                    bool many_rows) {
  double seconds = 0;
  for (const FormatBytes& part : parts) {
    seconds += part.bytes / format_rate(device, part.format, many_rows);
  }
  double rate = seconds > 0 ? total_bytes(parts) / seconds : mean_rate(device, many_rows);
  return rate * device.health;
}

const PlanLayer* main_layer(const PlanModel& model) {
  const PlanLayer* largest = nullptr;
  for (const PlanLayer& layer : model.layers) {
    if (layer.experts == 0) continue;
    if (largest == nullptr ||
        layer.count * layer.bank_bytes() > largest->count * largest->bank_bytes()) {
      largest = &layer;
    }
  }
  return largest;
}

double hit_rate(const PlanModel& model, const PlanLayer& layer, const DeviceFacts& device,
                double share) {
  double held_bytes = share * model.bank_bytes();
  if (held_bytes <= 0) return 1;
  double held = static_cast<double>(device.ram_bytes) / held_bytes;
  if (held >= 1) return 1;
  // Less than one token's working set: everything is gone before it is used again.
  double cycle = static_cast<double>(layer.top_k) / std::max(1u, layer.experts);
  if (held < 0.8 * cycle) return 0;
  for (size_t i = 1; i < model.hits.size(); ++i) {
    const HitPoint& a = model.hits[i - 1];
    const HitPoint& b = model.hits[i];
    if (held > b.held) continue;
    return a.hits + (b.hits - a.hits) * (held - a.held) / (b.held - a.held);
  }
  return 1;
}

DeviceLoad device_load(const PlanModel& model, const PlanLayer& layer, const DeviceFacts& device,
                       double share) {
  double bytes = layer.top_k * layer.expert_bytes();
  double miss = 1 - hit_rate(model, layer, device, share);
  double disk = miss * bytes / device.disk_rate;
  double compute = bytes / product_rate(device, layer.expert, false);
  return {fixed_time(device), overlapped(disk, compute, layer.top_k) / device.correction};
}

PlanPool with_assumptions(const PlanPool& pool) {
  PlanPool complete = pool;
  auto rate = [&](bool many_rows, double usual) {
    return median_of(
        pool, [=](const DeviceFacts& device) { return mean_rate(device, many_rows); }, usual);
  };
  double one_row = rate(false, kUsualOneRow);
  double many_rows = rate(true, kUsualManyRows);
  double disk = median_of(
      pool, [](const DeviceFacts& device) { return device.disk_rate; }, kUsualDisk);
  double link = median_of(
      pool, [](const DeviceFacts& device) { return device.link_rate; }, kUsualLink);
  double trip = median_of(
      pool, [](const DeviceFacts& device) { return device.round_trip; }, kUsualRoundTrip);
  bool seen = std::ranges::any_of(pool.devices, &DeviceFacts::round_trip_seen);
  auto fill = [&](DeviceFacts& device) {
    ProductSpeed usual{TensorType::kF32, static_cast<uint64_t>(one_row),
                       static_cast<uint64_t>(many_rows)};
    if (device.products.empty()) device.products = {usual};
    for (ProductSpeed& speed : device.products) {
      if (speed.one_row == 0) speed.one_row = usual.one_row;
      if (speed.many_rows == 0) speed.many_rows = usual.many_rows;
    }
    if (device.disk_rate <= 0) device.disk_rate = disk;
    device.health = std::clamp(device.health, 0.01, 1.0);
  };
  fill(complete.coordinator);
  for (DeviceFacts& device : complete.devices) {
    fill(device);
    if (device.link_rate <= 0) device.link_rate = link;
    if (device.round_trip <= 0 && !device.local) {
      device.round_trip = trip;
      device.round_trip_seen = seen;
    }
  }
  return complete;
}

PhaseTime decode_time(const PlanModel& model, const PlanPool& pool,
                      const std::vector<double>& shares, const CostOptions& options) {
  PhaseTime time;
  time.attention = weights_time(pool.coordinator, model.head, 1);
  for (const PlanLayer& layer : model.layers) {
    double own = weights_time(pool.coordinator, layer.dense, 1) + kAttentionFixed;
    time.attention += layer.count * own;
    if (layer.experts == 0) continue;
    std::vector<DevicePart> parts;
    for (size_t i = 0; i < pool.devices.size(); ++i) {
      parts.push_back(part_of(model, layer, pool.devices[i], shares[i], options.slices));
    }
    Round round = round_of(pool, layer, parts);
    if (options.prefetch_recall > 0 && round.disk > 0) {
      double fits =
          time_to_prefetch(parts, own + round.total(), round.disk, options.prefetch_recall);
      for (DevicePart& part : parts) part.miss *= 1 - options.prefetch_recall * fits;
      Round ahead = round_of(pool, layer, parts);
      if (ahead.total() < round.total()) round = ahead;
    }
    add_round(pool, layer, round, 1, &time);
    add_missing(pool, layer, shares, layer.top_k, &time);
  }
  return time;
}

PhaseTime prefill_time(const PlanModel& model, const PlanPool& pool,
                       const std::vector<double>& shares, const CostOptions& options,
                       uint32_t rows) {
  PhaseTime time;
  time.attention = weights_time(pool.coordinator, model.head, 1);
  for (const PlanLayer& layer : model.layers) {
    time.attention +=
        layer.count * (weights_time(pool.coordinator, layer.dense, rows) + kAttentionFixed);
    if (layer.experts == 0) continue;
    // Experts that at least one row needs.
    double used =
        layer.experts * (1 - std::pow(1 - static_cast<double>(layer.top_k) / layer.experts, rows));
    std::vector<double> touched;
    Round round;
    double slowest = 0;
    for (size_t i = 0; i < pool.devices.size(); ++i) {
      const DeviceFacts& device = pool.devices[i];
      DevicePart part = part_of(model, layer, device, shares[i], options.slices);
      touched.push_back(part.touched());
      if (shares[i] <= 0) continue;
      double bytes = shares[i] * layer.expert_bytes();
      double rate = product_rate(device, layer.expert, true) * device.correction_many;
      double compute = rows * layer.top_k * bytes / rate;
      // All of a layer goes through the cache before any of it comes again.
      double held = static_cast<double>(device.ram_bytes) / (shares[i] * model.bank_bytes());
      double disk = used * bytes * std::max(0.0, 1 - held) / device.disk_rate;
      double both = part.fixed + overlapped(disk, compute, used * shares[i]);
      if (both <= slowest) continue;
      slowest = both;
      compute = std::min(compute, both - part.fixed);
      round = {part.fixed, compute, both - part.fixed - compute};
    }
    round.wire += wire_time(pool, layer, touched, rows);
    add_round(pool, layer, round, rows, &time);
    add_missing(pool, layer, shares, used, &time);
  }
  return time;
}

}  // namespace potluck
