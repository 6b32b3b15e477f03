#include "engine/template/budget.h"

namespace potluck {

// Texts and memory are named first: what they refuse ends the rendering while steps are left.
Status Budget::check() const {
  if (!exceeded()) return {};
  if (refused_ == Refused::kText) {
    return Error{ErrorCode::kLimit,
                 fmt::format("a text becomes longer than {} bytes", limits::kTemplateTextBytes)};
  }
  if (refused_ == Refused::kMemory) {
    return Error{ErrorCode::kLimit,
                 fmt::format("the template takes more than {} bytes of memory", limits_.memory)};
  }
  return Error{ErrorCode::kLimit,
               fmt::format("the template takes more than {} steps", limits_.steps)};
}

}  // namespace potluck
