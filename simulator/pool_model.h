// PoolModel: what a simulated pool needs of its model: the experts' manifest, where grains are cut
// from, and the kernels. The small model has weights (SimModel); a shape has sizes alone
// (ShapeModel). Immutable once made; any thread.
#pragma once

#include "engine/experts/grain_cutter.h"
#include "engine/kernels/kernels.h"

namespace potluck::sim {

class PoolModel {
 public:
  virtual ~PoolModel() = default;

  virtual const Manifest& manifest() const = 0;
  virtual const GrainCutter& cutter() const = 0;
  virtual const KernelTable& kernels() const = 0;
};

}  // namespace potluck::sim
