#include "coordinator/serving/step_times.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {
namespace {

constexpr uint32_t kLeastMeasured = 3;
// Of a row's share of the base, what one more adds: between a slow link, where it adds hardly
// anything, and a processor or a disk that has all of it to do again.
constexpr double kShareOfFurtherRow = 0.5;

}  // namespace

void StepTimes::note(uint32_t rows, Duration time) {
  Times& times = times_[rows];
  if (steps_ - times.noted > kRemembered) times.count = 0;
  times.last[times.count % times.last.size()] = static_cast<double>(time.count());
  ++times.count;
  times.noted = ++steps_;
}

double StepTimes::middle(const Times& times) {
  std::array<double, std::tuple_size_v<decltype(times.last)>> sorted = times.last;
  auto end = sorted.begin() + std::min<ptrdiff_t>(times.count, sorted.size());
  std::sort(sorted.begin(), end);
  return sorted[(static_cast<size_t>(end - sorted.begin()) - 1) / 2];
}

std::optional<double> StepTimes::measured(uint32_t rows) const {
  auto found = times_.find(rows);
  if (found == times_.end()) return std::nullopt;
  const Times& times = found->second;
  if (times.count < kLeastMeasured || steps_ - times.noted > kFresh) return std::nullopt;
  return middle(times);
}

double StepTimes::estimate(uint32_t base, uint32_t rows) const {
  const auto first = measured(base);
  CHECK(first && rows >= base);
  uint32_t below = base;
  double below_time = *first;
  double slope = kShareOfFurtherRow * *first / base;
  for (const auto& [known, times] : times_) {
    if (known <= base || !is_known(times)) continue;
    // More rows never take less; where they seem to, it was noise.
    const double time = std::max(middle(times), below_time);
    slope = (time - below_time) / (known - below);
    if (known >= rows) break;
    below = known;
    below_time = time;
    slope = (time - *first) / (known - base);
  }
  return below_time + slope * (rows - below);
}

uint32_t StepTimes::most_known(uint32_t base) const {
  uint32_t most = base;
  for (const auto& [rows, times] : times_) {
    if (rows > base && is_known(times)) most = std::max(most, rows);
  }
  return most;
}

}  // namespace potluck
