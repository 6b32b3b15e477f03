// PoolLearning: what a coordinator learns while its pool works: which experts are used, and how
// fast workers are. Written by dispatch, read by placement. Bounded. One thread.
#pragma once

#include "coordinator/plan/expert_use.h"
#include "coordinator/plan/observed_speeds.h"

namespace potluck {

struct PoolLearning {
  explicit PoolLearning(const Manifest& manifest) : use(manifest) {}

  ExpertUse use;
  ObservedSpeeds speeds;
};

}  // namespace potluck
