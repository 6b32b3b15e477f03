// SimModel: the small model that simulations run, loaded once and shared by all of them, and what
// it says when nothing goes wrong: the solo run. Immutable once made; one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simulator/pool_model.h"

#include "engine/experts/expert_compute.h"
#include "engine/model/forward.h"
#include "engine/model/model.h"

namespace potluck::sim {

struct Generated {
  std::vector<TokenId> tokens;
  std::vector<float> last_logits;

  bool operator==(const Generated& other) const;  // bit by bit
};

struct GenerateOptions {
  std::vector<TokenId> prompt;
  uint32_t tokens = 12;
  uint32_t prefill_chunk = 512;
  std::function<void()> on_token = {};  // after each
};

class SimModel final : public PoolModel {
 public:
  explicit SimModel(const std::string& path);  // the file must be good (CHECK)
  SimModel(std::unique_ptr<Storage> storage, const std::string& path);

  const Model& model() const { return *model_; }
  const GrainCutter& cutter() const override { return model_->cutter(); }
  const KernelTable& kernels() const override { return kernels_; }
  const Manifest& manifest() const override { return *manifest_; }
  // Fixed: not every prompt reaches every expert.
  std::vector<TokenId> prompt(uint32_t tokens) const;

  // Greedy; the executor decides who computes the experts.
  Result<Generated> generate(const GenerateOptions& options, ThreadPool& threads,
                             ExpertExecutor& executor) const;
  Generated solo(const GenerateOptions& options) const;
  // For other solo runs: what computes everything in this process.
  void with_solo(const std::function<void(Forward&, ExpertExecutor&)>& use) const;

 private:
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<Model> model_;
  const KernelTable& kernels_;
  std::unique_ptr<Manifest> manifest_;
  std::unique_ptr<ResidentSource> resident_;
};

}  // namespace potluck::sim
