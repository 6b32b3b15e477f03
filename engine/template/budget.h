// Budget: what one rendering of a template may still take, in steps and in memory. Code that takes
// memory calls take() first; what is refused is not taken, and the rendering ends with the error
// of check(). Once something was refused, or too many steps were spent, all further memory is
// refused: what is under way comes to its end soon. Belongs to one rendering; one thread.
#pragma once

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/result.h"

namespace potluck {

struct BudgetLimits {
  uint64_t steps = limits::kTemplateSteps;
  uint64_t memory = limits::kTemplateMemory;
};

class Budget {
 public:
  explicit Budget(BudgetLimits limits = {}) : limits_(limits) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  void spend(uint64_t steps) {
    steps_ = steps > limits_.steps - steps_ ? limits_.steps : steps_ + steps;
  }
  void spend_text(uint64_t bytes) { spend(1 + bytes / kBytesPerStep); }

  // False if the memory may not be taken. The code that took memory gives it back.
  [[nodiscard]] bool take(uint64_t bytes) {
    if (exceeded()) return false;
    if (bytes > limits_.memory - memory_) {
      refused_ = Refused::kMemory;
      return false;
    }
    memory_ += bytes;
    return true;
  }
  void give_back(uint64_t bytes) { memory_ -= bytes; }
  // False, and the end of the rendering, for texts that are too long.
  [[nodiscard]] bool allows_text(uint64_t bytes) {
    if (bytes <= limits::kTemplateTextBytes) return true;
    if (!exceeded()) refused_ = Refused::kText;
    return false;
  }

  bool exceeded() const { return refused_ != Refused::kNothing || steps_ >= limits_.steps; }
  Status check() const;  // an error that names what is used up

 private:
  enum class Refused { kNothing, kMemory, kText };
  static constexpr uint64_t kBytesPerStep = 32;

  BudgetLimits limits_;
  uint64_t steps_ = 0;
  uint64_t memory_ = 0;
  Refused refused_ = Refused::kNothing;
};

// Memory that is taken for as long as the object lives. A value that moves.
class Lease {
 public:
  // Null: nothing is counted.
  Lease(Budget* budget, uint64_t bytes)
      : budget_(budget),
        bytes_(budget != nullptr && budget->take(bytes) ? bytes : 0),
        granted_(budget == nullptr || bytes_ == bytes) {}
  ~Lease() {
    if (bytes_ > 0) budget_->give_back(bytes_);
  }
  Lease(Lease&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)), granted_(other.granted_) {}
  Lease& operator=(Lease&&) = delete;

  bool granted() const { return granted_; }

 private:
  Budget* budget_;
  uint64_t bytes_;
  bool granted_;
};

}  // namespace potluck
