// HonestAnswers: what a true worker answers to a request for work on the small model. Owns scratch
// memory; one thread.
#pragma once

#include "simulator/sim_model.h"

#include "engine/experts/expert_compute.h"
#include "protocol/message.h"

namespace potluck::sim {

struct Said {
  Message message;
  ByteVector tensor;
};

class HonestAnswers {
 public:
  // The model must outlive the object.
  explicit HonestAnswers(const SimModel& model);

  // The request must be the real coordinator's.
  Said answer(const Compute& request, ByteSpan tensor);

 private:
  const SimModel& model_;
  ThreadPool threads_{1};
  GgufSource source_;
  ExpertCompute compute_;
};

}  // namespace potluck::sim
