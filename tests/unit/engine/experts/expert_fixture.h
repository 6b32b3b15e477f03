// ExpertFixture: a GGUF file in memory that holds the experts of some layers, with random weights
// of any format, opened by the real reader. Test code, one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/memory_storage.h"
#include "engine/experts/expert_bank.h"
#include "engine/experts/grain_cutter.h"

namespace potluck::test {

struct FixtureLayer {
  uint32_t layer = 0;
  uint32_t experts = 0;
  ExpertShape shape;
  bool joined = false;  // gate and up are one tensor of the file
};

// One matrix of one expert as it stands in the file.
struct SourceMatrix {
  TensorType type = TensorType::kF32;
  uint32_t rows = 0;
  uint32_t columns = 0;
  ByteVector bytes;

  const std::byte* row(uint32_t index) const;
  std::vector<float> decode() const;  // [rows, columns]
};

struct SourceExpert {
  SourceMatrix gate;
  SourceMatrix up;
  SourceMatrix down;
  std::vector<float> gate_bias;  // empty without biases
  std::vector<float> up_bias;
  std::vector<float> down_bias;
  float scales[3] = {1, 1, 1};  // of gate, up, down
};

class ExpertFixture {
 public:
  // May change a tensor's bytes before the file is written.
  using Poke = std::function<void(const std::string& name, ByteVector& bytes)>;

  ExpertFixture(std::vector<FixtureLayer> layers, uint64_t seed, const Poke& poke = {});

  const GgufModel& model() const { return *model_; }
  std::span<const ExpertBank> banks() const { return banks_; }
  const GrainCutter& cutter() const { return *cutter_; }
  MemoryStorage& storage() { return storage_; }  // that holds the file
  SourceExpert expert(uint32_t layer, uint32_t expert) const;
  ByteVector cut(GrainId id) const;  // through the cutter; must succeed

 private:
  MemoryStorage storage_;
  std::unique_ptr<GgufModel> model_;
  std::vector<ExpertBank> banks_;
  std::unique_ptr<GrainCutter> cutter_;
};

// "blk.3.ffn_gate_exps.weight" and so on; `part` is gate, up or down.
std::string scale_name(uint32_t layer, const std::string& part);
std::string tensor_name(uint32_t layer, const std::string& part, bool bias = false);

}  // namespace potluck::test
