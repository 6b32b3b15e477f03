// GrainCutter: cuts grains out of a GGUF file, in the layout of expert_shape.h. Used to build
// manifest and store, to deliver grains, to fill memory in solo runs and as the coordinator's last
// resort. Refers to a model and banks that must outlive it; const methods, any thread.
#pragma once

#include <functional>
#include <vector>

#include "engine/experts/expert_bank.h"
#include "engine/experts/manifest.h"
#include "engine/experts/unit_id.h"

namespace potluck {

// Called now and then with how much of a long piece of work is done; returns nothing, throws
// nothing.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

class GrainCutter {
 public:
  GrainCutter(const GgufModel& model, std::span<const ExpertBank> banks);

  std::span<const ExpertBank> banks() const { return banks_; }
  // The bank of a layer, or null for a layer without routed experts.
  const ExpertBank* bank(uint32_t layer) const;
  // What follows from the layer's shape. It must have a bank.
  const ShapeTables& tables(uint32_t layer) const;
  const ChunkPlan& plan(uint32_t layer) const { return tables(layer).plan; }

  // Bytes of one grain; `id` must exist (CHECK).
  uint64_t grain_bytes(GrainId id) const;
  // Lays the grain out into `out` (grain_bytes(id) long; padding is zeroed).
  Status cut(GrainId id, MutableByteSpan out) const;
  // All grains of one expert, concatenated; cheaper than one by one (each tensor is read once).
  uint64_t expert_bytes(uint32_t layer) const;
  uint64_t total_bytes() const;  // of all experts of the model
  Status cut_expert(uint32_t layer, uint32_t expert, MutableByteSpan out) const;

 private:
  Status lay_out(uint32_t layer, uint32_t expert, GrainRange grains, MutableByteSpan out) const;

  const GgufModel& model_;
  std::span<const ExpertBank> banks_;
  std::vector<ShapeTables> tables_;     // one per bank
  std::vector<int32_t> bank_of_layer_;  // index into banks_, -1 for none
};

}  // namespace potluck
