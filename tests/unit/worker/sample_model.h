// SampleModel: a model file of three layers of random experts in different formats, its manifest,
// and batches with the sums that a solo run computes for them. Test code; one thread.
#pragma once

#include <memory>
#include <vector>

#include "engine/base/memory_storage.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/grain_source.h"

namespace potluck::test {

struct SampleBatch {
  ActivationBuffer input;
  std::vector<int32_t> fraction_bits;  // [tokens]
  uint32_t top_k = 0;
  std::vector<uint32_t> experts;  // [tokens, top_k]
  std::vector<float> weights;     // [tokens, top_k]
  uint32_t layer = 0;

  ExpertBatch view() const;
};

class SampleModel {
 public:
  static constexpr uint32_t kExperts = 4;
  // Layers: 4-bit and 6-bit super-blocks; 8-bit blocks; float32 with a hidden size that fills no
  // whole group of packed sums.
  static constexpr uint32_t kSuperBlocks = 0;
  static constexpr uint32_t kBlocks = 2;
  static constexpr uint32_t kFloats = 5;

  explicit SampleModel(uint64_t seed);

  const GrainCutter& cutter() const { return *cutter_; }
  const Manifest& manifest() const { return *manifest_; }
  ByteVector grain(GrainId id) const;
  // Every unit of the model, cut into that many slices.
  std::vector<UnitId> units(uint32_t slices) const;

  SampleBatch batch(uint32_t layer, uint32_t tokens, uint32_t top_k, uint64_t seed) const;
  // What LocalExecutor computes with the scalar kernels.
  ExpertSums solo(const SampleBatch& batch) const;

 private:
  MemoryStorage storage_;
  std::unique_ptr<GgufModel> file_;
  std::vector<ExpertBank> banks_;
  std::unique_ptr<GrainCutter> cutter_;
  std::unique_ptr<Manifest> manifest_;
  std::unique_ptr<ResidentSource> source_;
};

}  // namespace potluck::test
