#include "worker/idle_scrub.h"

namespace potluck {

std::optional<ScrubResult> IdleScrub::on_tick() {
  if (clock_.now() < next_) return std::nullopt;
  ScrubResult result = store_.scrub(kStepBytes);
  // From the end of the step: a slow disk is never read without pauses.
  next_ = clock_.now() + (result.round_complete ? kRest : kPause);
  return result;
}

}  // namespace potluck
