// Models and devices with figures that were computed or measured elsewhere: what the cost model is
// compared with. Test code; any thread.
#pragma once

#include <algorithm>
#include <cmath>

#include "coordinator/plan/planner.h"

namespace potluck::test {

// Curves of models whose caches were measured, one by one.
inline const std::vector<HitPoint> kQwen3Hits = {{0, 0},      {.05, 0},    {.0625, .38}, {.10, .50},
                                                 {.15, .645}, {.20, .735}, {.25, .81},   {.30, .87},
                                                 {.40, .94},  {.50, .965}, {1, 1}};
inline const std::vector<HitPoint> kGptOssHits = {{0, 0},      {.025, 0},  {.034, .27},
                                                  {.052, .35}, {.10, .55}, {.20, .75},
                                                  {.30, .83},  {.50, .92}, {1, 1}};
inline const std::vector<HitPoint> kQwen35Hits = {
    {0, 0},      {.012, 0},   {.016, .36}, {.033, .44}, {.084, .52},
    {.098, .55}, {.167, .71}, {.25, .78},  {.50, .92},  {1, 1}};
inline const std::vector<HitPoint> kGlmHits = {{0, 0},      {.028, 0},   {.049, .24}, {.074, .40},
                                               {.086, .44}, {.123, .51}, {.147, .55}, {.184, .60},
                                               {.30, .72},  {.50, .86},  {1, 1}};

struct KnownModel {
  const char* name;
  uint32_t layers;
  uint32_t moe_layers;
  uint32_t hidden;
  uint32_t experts;
  uint32_t top_k;
  double expert_weights;
  double dense_weights;  // of all layers
  double head_weights;
  double shared_weights;  // of a layer; part of the dense ones
  const std::vector<HitPoint>* hits;
};

inline const KnownModel kQwen30B = {"Qwen3-30B",     48,    48,     2048, 128,        8,
                                    3. * 2048 * 768, .92e9, .311e9, 0,    &kQwen3Hits};
inline const KnownModel kGptOss = {"gpt-oss-120b",   36,    36,     2880, 128,         4,
                                   3. * 2880 * 2880, .97e9, .579e9, 0,    &kGptOssHits};
inline const KnownModel kQwen235B = {"Qwen3-235B",     94,     94,     4096, 128,        8,
                                     3. * 4096 * 1536, 6.75e9, .622e9, 0,    &kQwen3Hits};
inline const KnownModel kQwen397B = {
    "Qwen3.5-397B",   60,          60, 4096, 512, 10, 3. * 4096 * 1024, 7.75e9, 1.017e9,
    3. * 4096 * 1024, &kQwen35Hits};
inline const KnownModel kDeepSeek = {
    "DeepSeek-V3",    61,       58, 7168, 256, 8, 3. * 7168 * 2048, 15.2e9, .927e9,
    3. * 7168 * 2048, &kGlmHits};

// 4.5 bits a weight; rows and sums cross the wire with so many bytes a value.
inline PlanModel plan_of(const KnownModel& known, double sent, double returned,
                         bool shared_overlaps) {
  auto bytes = [](double weights) {
    return std::vector<FormatBytes>{{TensorType::kQ4_K, weights * 4.5 / 8}};
  };
  PlanLayer layer;
  layer.count = known.moe_layers;
  double shared = shared_overlaps ? known.shared_weights : 0;
  layer.dense = bytes(known.dense_weights / known.layers - shared);
  if (shared > 0) layer.shared = bytes(shared);
  layer.expert = bytes(known.expert_weights);
  layer.experts = known.experts;
  layer.top_k = known.top_k;
  layer.grains = 8;
  layer.sent_row_bytes = known.hidden * sent;
  layer.returned_row_bytes = known.hidden * returned;
  PlanModel model;
  model.name = known.name;
  model.hidden = known.hidden;
  model.layers = {layer};
  if (known.moe_layers < known.layers) {
    PlanLayer dense;
    dense.count = known.layers - known.moe_layers;
    dense.dense = bytes(known.dense_weights / known.layers);
    model.layers.push_back(dense);
  }
  model.head = bytes(known.head_weights);
  model.hits = *known.hits;
  return model;
}

inline DeviceFacts device(double ram_gb, double products_gb, double disk_gb, double trip_ms,
                          double link_mbit) {
  DeviceFacts facts;
  facts.ram_bytes = static_cast<uint64_t>(ram_gb * 1e9);
  facts.disk_bytes = uint64_t{4} << 40;
  facts.disk_rate = disk_gb * 1e9;
  facts.products = {{TensorType::kQ4_K, static_cast<uint64_t>(products_gb * 1e9),
                     static_cast<uint64_t>(4 * products_gb * 1e9)}};
  facts.round_trip = trip_ms * 1e-3;
  facts.link_rate = link_mbit * 1e6 / 8;
  facts.local = trip_ms == 0;
  return facts;
}

// Of 16 GB, with DDR4 and NVMe, on gigabit Ethernet.
inline DeviceFacts laptop(double ram_gb = 10) {
  return device(ram_gb, 25, 2.5, 0.25, 940);
}
inline DeviceFacts old_laptop(double trip_ms, double mbit) {
  return device(4, 16, 1.0, trip_ms, mbit);
}
inline DeviceFacts old_phone(double trip_ms, double mbit) {
  return device(2, 9, 0.8, trip_ms, mbit);
}

// One of them is the coordinator, and has what attention and the output matrix leave of 9.5 GB.
inline PlanPool laptops(size_t count, const KnownModel& model) {
  double weights = (model.dense_weights + model.head_weights) * 4.5 / 8;
  PlanPool pool;
  pool.coordinator = laptop();
  pool.devices.assign(count, laptop());
  pool.devices[0] = device(std::max(0.3, 9.5 - weights / 1e9), 25, 2.5, 0, 0);
  return pool;
}

inline PlanPool mixed(double trip_ms, double mbit) {
  PlanPool pool;
  pool.coordinator = laptop();
  pool.coordinator.link_rate = 0;
  for (int i = 0; i < 5; ++i) pool.devices.push_back(old_phone(trip_ms, mbit));
  for (int i = 0; i < 3; ++i) pool.devices.push_back(old_laptop(trip_ms, mbit));
  return pool;
}

inline std::vector<std::string> numbered(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back("device " + std::to_string(i + 1));
  return names;
}

}  // namespace potluck::test
