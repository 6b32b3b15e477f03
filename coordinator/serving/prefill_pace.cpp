#include "coordinator/serving/prefill_pace.h"

#include <algorithm>

namespace potluck {
namespace {

constexpr double kWeightOfNew = 0.1;
constexpr double kTooSlow = 2.5;  // times the quiet time
constexpr double kMayBeMore = 1.7;

}  // namespace

void PrefillPace::note(Duration between, bool with_prompts) {
  auto time = static_cast<double>(between.count());
  if (!with_prompts) {
    quiet_ = quiet_ == 0 ? time : quiet_ + kWeightOfNew * (time - quiet_);
    return;
  }
  if (quiet_ == 0) return;
  uint32_t least = std::min(kLeast, most_);
  if (time > kTooSlow * quiet_) rows_ = std::max(least, rows_ / 4 * 3);
  if (time < kMayBeMore * quiet_) rows_ = std::min(most_, rows_ + std::max<uint32_t>(1, rows_ / 8));
}

}  // namespace potluck
