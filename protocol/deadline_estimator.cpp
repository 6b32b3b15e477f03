#include "protocol/deadline_estimator.h"

#include <algorithm>
#include <bit>

namespace potluck {
namespace {

// Until enough is known about the peer: a cold disk, and rows on a slow phone.
constexpr Duration kFirstCall = std::chrono::seconds(2);
constexpr uint32_t kEnoughCalls = 8;
// Dean and Barroso, "The Tail at Scale" (2013): well beyond the tail, so that asking twice stays
// rare.
constexpr int64_t kMargin = 3;
// Shorter measurements are noise, and an estimate of zero could never grow by a factor.
constexpr Duration kShortest = std::chrono::microseconds(50);
// More than any peer is asked for, and the arithmetic cannot overflow.
constexpr uint32_t kMostRows = 64 * 1024;
// By so much each answer moves the share of cold ones: it follows some 64 answers.
constexpr double kColdStep = 1.0 / 64;

// took * rows / own. What was extrapolated already may take days: the plain product overflows.
Duration scaled(Duration took, int64_t rows, int64_t own) {
  return took / own * rows + took % own * rows / own;
}

}  // namespace

size_t DeadlineEstimator::size_of(uint32_t rows) {
  return static_cast<size_t>(std::bit_width(std::clamp(rows, 1u, kMostRows - 1)) - 1);
}

Duration DeadlineEstimator::cap(uint32_t rows) {
  return std::min(kCap, kCallCap + std::min(rows, kMostRows) * kRowCap);
}

Duration DeadlineEstimator::first_deadline(uint32_t rows) {
  return std::min(kCap, kFirstCall + std::min(rows, kMostRows) * kRowCap);
}

void DeadlineEstimator::record(Duration took, uint32_t rows, bool cold) {
  rows = std::clamp(rows, 1u, kMostRows - 1);
  // Believed up to the cap only: a worker that answered each call just before its deadline raised
  // the next one to three times that, up to 1,800 s.
  took = std::clamp(took, kShortest, kCap);
  Size& size = sizes_[size_of(rows)];
  // The first answer of this size is compared with what the other sizes make of it.
  std::optional<Duration> before = size.count > 0 ? size.took : estimate(std::bit_floor(rows));
  if (!before) {
    size.took = took;
  } else if (took > *before) {
    // Slower answers count at once and faster ones by a share, so the estimate stays near the slow
    // answers. One outlier moves it by kLargestStep at most: before that bound, twenty calls of 5
    // ms and one of a second made the deadline of 512 rows 1,536 s.
    size.took = std::min(took, *before * kLargestStep);
  } else {
    int64_t weight = std::min(size.count + 1, kSlowest);
    size.took = std::max(*before + (took - *before) / weight, *before / kLargestStep);
  }
  record_usual(took, &size, cold);
  size.rows = rows;
  size.count = std::min(size.count + 1, kSlowest);
  count_ = std::min(count_ + 1, kEnoughCalls);
}

void DeadlineEstimator::record_usual(Duration took, Size* size, bool cold) {
  if (count_ < kEnoughCalls) return;
  cold_share_ += ((cold ? 1.0 : 0.0) - cold_share_) * kColdStep;
  (cold ? size->cold : size->warm).record(took);
}

std::optional<Duration> DeadlineEstimator::usual(double q, uint32_t rows) const {
  bool with_cold = cold_share_ > 1 - q;
  // A larger call takes no less time, so what is known of one will do.
  for (size_t i = size_of(rows); i < sizes_.size(); ++i) {
    const Size& size = sizes_[i];
    std::optional<Duration> warm = size.warm.quantile(q);
    // Few cold ones will do where there are many others.
    uint32_t enough = warm ? 1 : LatencyQuantiles::kEnough;
    std::optional<Duration> cold = with_cold ? size.cold.quantile(q, enough) : std::nullopt;
    if (warm && cold) return std::max(*warm, *cold);
    if (warm || cold) return warm ? warm : cold;
  }
  return std::nullopt;
}

std::optional<Duration> DeadlineEstimator::estimate(uint32_t rows) const {
  if (knows_nothing()) return std::nullopt;
  rows = std::clamp(rows, 1u, kMostRows);
  Duration least{0};  // smaller calls took as long
  Duration most = Duration::max();
  for (size_t i = 0; i < sizes_.size(); ++i) {
    if (sizes_[i].count == 0) continue;
    uint32_t own = uint32_t{1} << i;
    if (own <= rows) least = std::max(least, sizes_[i].took);
    most = std::min(most, own >= rows ? sizes_[i].took : scaled(sizes_[i].took, rows, own));
  }
  return std::max(least, most);
}

Duration DeadlineEstimator::deadline(uint32_t rows, Duration backlog) const {
  backlog = std::clamp(backlog, Duration::zero(), kCap);
  Duration expected = estimate(rows).value_or(Duration::zero()) + backlog;
  Duration wanted = std::max(expected * kMargin, kFloor);
  // The first answers may all have met a warm cache.
  if (count_ < kEnoughCalls) wanted = std::max(wanted, first_deadline(rows));
  return std::min({wanted, cap(rows) + backlog * kMargin, kCap});
}

uint32_t DeadlineEstimator::rows_for(Duration target) const {
  if (knows_nothing()) return kFirstRows;
  auto known = [](const Size& size) { return size.count > 0; };
  const Size& least = *std::find_if(sizes_.begin(), sizes_.end(), known);
  const Size& most = *std::find_if(sizes_.rbegin(), sizes_.rend(), known);
  // As if all of a call's time were its rows': an underestimate, since each call also has a cost of
  // its own. The slope between the smallest and the largest size seen leaves that cost out, but two
  // noisy points can make it nearly flat; hence the bound of four times what was tried.
  int64_t surely = target * most.rows / most.took;
  int64_t perhaps = surely;
  if (&least != &most) {
    Duration rows_took = std::max(most.took - least.took, Duration(1));
    perhaps = std::min<int64_t>(target * (most.rows - least.rows) / rows_took, 4 * most.rows);
  }
  return static_cast<uint32_t>(std::clamp<int64_t>(std::max(surely, perhaps), 1, kMostRows));
}

}  // namespace potluck
