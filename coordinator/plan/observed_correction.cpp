#include "coordinator/plan/observed_correction.h"

#include <algorithm>

#include "coordinator/plan/median.h"

namespace potluck {
namespace {

// Corrections beyond these say that something else went wrong.
constexpr double kLeastCorrection = 1e-6;
constexpr double kMostCorrection = 10;
constexpr size_t kEnoughSeen = 3;
// What is seen varies with all that a device does besides: only what differs by more counts.
constexpr double kNoise = 2;

double bounded(double correction) {
  return std::clamp(correction, kLeastCorrection, kMostCorrection);
}

bool is_usual(double correction, double usually) {
  return correction <= usually * kNoise && usually <= correction * kNoise;
}

// Devices that differ little get the same; one of which nothing was seen is expected to come out
// like the others, once there are enough of those: one that boasts must not make the others look
// slow, and one that is believed too much soon shows what it does.
void even_out(std::vector<DeviceFacts>& devices, double DeviceFacts::*observed,
              double DeviceFacts::*correction) {
  std::vector<double> known;
  for (const DeviceFacts& device : devices) {
    if (device.*observed > 0) known.push_back(device.*correction);
  }
  if (known.empty()) return;
  const double usually = median(known);
  for (DeviceFacts& device : devices) {
    bool seen = device.*observed > 0;
    bool usual = seen ? is_usual(device.*correction, usually) : known.size() >= kEnoughSeen;
    if (usual) device.*correction = usually;
  }
}

}  // namespace

// Measurements are of products and reads alone, and what is seen of a worker has everything in it:
// each is compared with what the model expects of it where it stands.
void correct_by_observation(const PlanModel& model, const std::vector<double>& held,
                            PlanPool* pool) {
  const PlanLayer* layer = main_layer(model);
  if (layer == nullptr) return;
  const double bytes = layer->top_k * layer->expert_bytes();
  for (size_t i = 0; i < pool->devices.size(); ++i) {
    DeviceFacts& device = pool->devices[i];
    if (device.observed_rate > 0) {
      double expected = bytes / device_load(model, *layer, device, held[i]).whole;
      device.correction = bounded(device.observed_rate / expected);
    }
    // Prompts are read ahead or not; what is compared is products with products.
    if (device.observed_many_rate > 0) {
      double expected = product_rate(device, layer->expert, true);
      device.correction_many = bounded(device.observed_many_rate / expected);
    }
  }
  even_out(pool->devices, &DeviceFacts::observed_rate, &DeviceFacts::correction);
  even_out(pool->devices, &DeviceFacts::observed_many_rate, &DeviceFacts::correction_many);
}

}  // namespace potluck
