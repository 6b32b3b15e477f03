#include "protocol/latency_quantiles.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace potluck {
namespace {

constexpr Duration kFirstBin = std::chrono::microseconds(50);
// The upper ends of four bins, as parts of 1024 of the octave's beginning: 2^(1/4), 2^(2/4) ..
constexpr std::array<int64_t, 4> kEnds = {1218, 1448, 1722, 2048};

Duration end_of_bin(size_t bin) {
  return kFirstBin * kEnds[bin % 4] / 1024 * (int64_t{1} << (bin / 4));
}

}  // namespace

size_t LatencyQuantiles::bin_of(Duration took) {
  if (took <= kFirstBin) return 0;
  auto octave = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(took / kFirstBin)) - 1);
  size_t bin = 4 * octave;
  while (bin + 1 < kBins && took > end_of_bin(bin)) ++bin;
  return std::min(bin, kBins - 1);
}

void LatencyQuantiles::record(Duration took) {
  if (total_ >= kMost) fade();
  ++counts_[bin_of(took)];
  ++total_;
}

// A count of one fades to nothing: a single outlier is gone after as many answers as are kept.
void LatencyQuantiles::fade() {
  total_ = 0;
  for (uint16_t& count : counts_) {
    count = static_cast<uint16_t>(count / 2);
    total_ += count;
  }
}

std::optional<Duration> LatencyQuantiles::quantile(double q, uint32_t enough) const {
  if (total_ < std::max(enough, 1u)) return std::nullopt;
  auto wanted = static_cast<uint32_t>(std::ceil(std::clamp(q, 0.0, 1.0) * total_));
  uint32_t seen = 0;
  for (size_t bin = 0; bin < kBins; ++bin) {
    seen += counts_[bin];
    if (seen >= wanted && seen > 0) return end_of_bin(bin);
  }
  return end_of_bin(kBins - 1);
}

}  // namespace potluck
