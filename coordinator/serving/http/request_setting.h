// RequestSetting: what the translation of a request has to know beside the request itself; the same
// for every API. A plain value.
#pragma once

#include <cstdint>

#include "coordinator/serving/completion.h"

namespace potluck {

struct RequestSetting {
  const ServedModel& model;
  bool model_known = true;      // false while it is loading: it is not asked what it can do
  SamplingSettings sampling{};  // where the request says nothing
  uint64_t seed = 0;            // random; for requests without one
};

}  // namespace potluck
