// ShapeModel: a model of any size of which only the sizes are there: what the planner, the
// membership and the dispatcher ask for, and no weight. Its grains' digests are made up. Immutable
// once made; any thread.
#pragma once

#include <memory>

#include "simulator/pool_model.h"
#include "simulator/synthetic_file.h"

#include "coordinator/plan/plan_model.h"
#include "engine/model/model.h"

namespace potluck::sim {

class ShapeModel final : public PoolModel {
 public:
  // The error names what in the shape makes no model.
  static Result<std::unique_ptr<ShapeModel>> make(const SyntheticShape& shape);

  const Manifest& manifest() const override { return *manifest_; }
  const GrainCutter& cutter() const override { return model_->cutter(); }
  const KernelTable& kernels() const override { return *kernels_; }
  const ModelConfig& config() const { return model_->config(); }
  const PlanModel& plan() const { return plan_; }

 private:
  ShapeModel() = default;

  std::unique_ptr<Storage> storage_;
  std::unique_ptr<Model> model_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<Manifest> manifest_;
  PlanModel plan_;
};

}  // namespace potluck::sim
