// Budget: what one rendering of a template may still spend, in steps and in memory. Spending goes
// on quietly; whoever loops asks check() from time to time. Belongs to one rendering; one thread.
#pragma once

#include <cstdint>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/result.h"

namespace potluck {

class Budget {
 public:
  void spend(uint64_t steps) { steps_ += steps; }
  void spend_text(uint64_t bytes) { steps_ += 1 + bytes / kBytesPerStep; }
  void take(uint64_t bytes) { memory_ += bytes; }
  void give_back(uint64_t bytes) { memory_ -= bytes; }

  bool exceeded() const {
    return steps_ > limits::kTemplateSteps || memory_ > limits::kTemplateMemory;
  }

  // An error that names what is used up.
  Status check() const {
    if (steps_ > limits::kTemplateSteps) {
      return Error{ErrorCode::kLimit,
                   fmt::format("the template takes more than {} steps", limits::kTemplateSteps)};
    }
    if (memory_ > limits::kTemplateMemory) {
      return Error{ErrorCode::kLimit, fmt::format("the template takes more than {} bytes of memory",
                                                  limits::kTemplateMemory)};
    }
    return {};
  }

  uint64_t steps() const { return steps_; }

 private:
  static constexpr uint64_t kBytesPerStep = 32;

  uint64_t steps_ = 0;
  uint64_t memory_ = 0;
};

}  // namespace potluck
