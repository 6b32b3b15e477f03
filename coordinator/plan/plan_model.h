// PlanModel: what of a model matters for its speed: how many bytes each token reads where. Made
// from a GGUF file's header, or from a manifest (which has only the experts). Plain values; any
// thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/experts/manifest.h"
#include "engine/model/config.h"

namespace potluck {

// Bytes of weights that are stored in a format.
struct FormatBytes {
  TensorType format = TensorType::kF32;
  double bytes = 0;

  bool operator==(const FormatBytes&) const = default;
};

// One layer, or several that are alike.
struct PlanLayer {
  uint32_t count = 1;
  std::vector<FormatBytes> dense;   // that every token reads at the coordinator, without the next:
  std::vector<FormatBytes> shared;  // the shared expert, computed during the round trip
  std::vector<FormatBytes> expert;  // of one routed expert; empty in a dense layer
  uint32_t experts = 0;
  uint32_t top_k = 0;
  uint32_t grains = 1;            // the most slices that an expert can have
  double sent_row_bytes = 0;      // of a row, to each worker that it needs
  double returned_row_bytes = 0;  // of a row's packed sums

  double expert_bytes() const;
  double bank_bytes() const { return expert_bytes() * experts; }  // of one such layer
};

// How much of what is used a cache holds, by the share of all experts that fits into it: points of
// a curve, ascending.
struct HitPoint {
  double held = 0;
  double hits = 0;
};

struct PlanModel {
  std::string name;
  std::vector<PlanLayer> layers;
  std::vector<FormatBytes> head;  // the output matrix
  uint64_t hidden = 0;
  std::vector<HitPoint> hits;

  double bank_bytes() const;  // all experts
};

// The mean of what was measured with several models in long answers. A cache that holds less than
// one token uses hits nothing, whatever the curve says.
std::vector<HitPoint> usual_hits();

double total_bytes(const std::vector<FormatBytes>& parts);

// `tensors` of the model's files; `banks` as find_expert_banks() found them.
PlanModel plan_model(std::span<const GgufTensor> tensors, const ModelConfig& config,
                     const std::vector<ExpertBank>& banks);
// Without what the coordinator computes.
PlanModel plan_model(const Manifest& manifest, uint32_t top_k);

}  // namespace potluck
