#include "engine/experts/lay_out_speed.h"

#include <algorithm>

#include "engine/base/buffer.h"
#include "engine/experts/lay_out.h"

namespace potluck {
namespace {

constexpr int kRounds = 3;
// Of each matrix: experts of a large model are larger, and show nothing more.
constexpr uint64_t kSampleBytes = 1 * kMiB;
// Of the time of all threads, that laying out may take while the disk reads: they compute, too.
// Formats that took up to a third of it were within a tenth of a copy's speed; of three that took
// 0.55 to 0.9 one had 0.96 of it and two 0.83 and 0.89; one that took 1.2 had 0.73
// (docs/PERFORMANCE.md).
constexpr double kMostLayingOut = 0.5;

}  // namespace

// Of each matrix, what was quickest.
double measure_lay_out_speed(const ShapeTables& tables, const Clock& clock) {
  const ExpertShape& shape = tables.shape;
  struct Matrix {
    ExpertMatrix matrix;
    TensorType type;
    uint32_t rows;
    uint32_t columns;
  };
  const Matrix all[] = {{ExpertMatrix::kGate, shape.gate, shape.width, shape.hidden},
                        {ExpertMatrix::kUp, shape.up, shape.width, shape.hidden},
                        {ExpertMatrix::kDown, shape.down, shape.hidden, shape.width}};
  Buffer out(tables.offsets.back(), "an expert that is laid out");
  double seconds = 0;
  uint64_t bytes = 0;
  for (const Matrix& matrix : all) {
    const BlockFormat& format = block_format(matrix.type);
    uint64_t row = uint64_t{matrix.columns} / format.block_elements * format.block_bytes;
    auto fitting = static_cast<uint32_t>(
        std::min<uint64_t>(matrix.rows, std::max<uint64_t>(1, kSampleBytes / row)));
    uint32_t rows = std::min(matrix.rows, round_up(fitting, kRowStep));
    Buffer source(rows * row, "rows of an expert");
    Duration best = Duration::max();
    for (int i = 0; i < kRounds; ++i) {
      TimePoint start = clock.now();
      lay_out_rows(tables, {0, tables.plan.grains}, {matrix.matrix, 0, rows, source.data()},
                   out.span());
      best = std::min(best, Duration(clock.now() - start));
    }
    seconds += in_seconds(best);
    bytes += source.size();
  }
  return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
}

double measure_lay_out_speed(const GrainCutter& cutter, const Clock& clock) {
  std::vector<std::pair<const ShapeTables*, double>> known;
  double seconds = 0;
  double bytes = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    const ShapeTables& tables = cutter.tables(bank.layer);
    auto same = std::find_if(known.begin(), known.end(),
                             [&](const auto& entry) { return entry.first->shape == tables.shape; });
    if (same == known.end()) {
      known.emplace_back(&tables, measure_lay_out_speed(tables, clock));
      same = known.end() - 1;
    }
    auto here = static_cast<double>(bank.experts * cutter.expert_bytes(bank.layer));
    bytes += here;
    if (same->second > 0) seconds += here / same->second;
  }
  return seconds > 0 ? bytes / seconds : 0;
}

double copy_pays_from(double lay_out_speed, double threads) {
  return kMostLayingOut * lay_out_speed * threads;
}

}  // namespace potluck
