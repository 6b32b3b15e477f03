// GrainSource: where the bytes of grains come from when experts are computed. Three kinds: all of
// them in memory (solo), the worker's store behind a bounded cache, and the GGUF file itself (the
// coordinator's last resort). Used by one thread.
#pragma once

#include <memory>

#include "engine/base/buffer.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/manifest.h"

namespace potluck {

// Bytes that stay in place while the view is alive.
struct GrainView {
  ByteSpan bytes;
  std::shared_ptr<const void> pin;
};

class GrainSource {
 public:
  virtual ~GrainSource() = default;
  // kLimit: the source's memory is taken by views that are alive. Release some and ask again; with
  // none alive, the budget cannot hold this grain at all.
  virtual Result<GrainView> get(GrainId id) = 0;
};

// Every expert of the model, laid out once while loading.
class ResidentSource final : public GrainSource {
 public:
  static Result<std::unique_ptr<ResidentSource>> load(const GrainCutter& cutter,
                                                      std::span<const ExpertBank> banks,
                                                      const Progress& progress);
  Result<GrainView> get(GrainId id) override;
  uint64_t bytes() const;

 private:
  ResidentSource() = default;
  struct Layer {
    Buffer grains;  // [experts, grains of one expert]
    uint64_t expert_bytes = 0;
    std::vector<uint64_t> offsets;  // of each grain inside an expert, and the end
  };
  std::vector<Layer> layers_;  // by layer; empty for layers without experts
};

// Straight from the model file, laying an expert out on demand: slow, the same bits. Keeps the last
// few experts it laid out.
class GgufSource final : public GrainSource {
 public:
  // `budget_bytes` bounds what is kept; at least one expert is. The cutter must outlive the source.
  GgufSource(const GrainCutter& cutter, uint64_t budget_bytes);
  ~GgufSource() override;
  Result<GrainView> get(GrainId id) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace potluck
