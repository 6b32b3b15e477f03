#include "tests/support/lying_worker/lying_kernels.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "engine/base/random.h"

namespace potluck::test {
namespace {

constexpr uint64_t kLowestBits = 24;  // of which one is flipped

class Liar {
 public:
  Liar(const KernelTable& honest, const LieSettings& settings, LieObserver observer)
      : honest_(honest),
        settings_(settings),
        random_(settings.seed),
        observer_(std::move(observer)),
        table_(honest) {}

  KernelTable& table() { return table_; }

  // Sums that are all zero are a row's before its first addend. Where all addends are alike, the
  // worker measures itself with weights that are all alike: that is no answer.
  bool accumulate(const float* y, uint32_t count, float weight, int32_t bits, int64_t* sums) {
    bool first = std::all_of(sums, sums + count, [](int64_t sum) { return sum == 0; }) &&
                 std::any_of(y, y + count, [y](float addend) { return addend != y[0]; });
    bool flag = honest_.accumulate(y, count, weight, bits, sums);
    if (!first) return flag;
    uint64_t row = rows_++;
    bool lies = settings_.one_in > 0 && row >= settings_.honest_rows &&
                random_.bits(row) % settings_.one_in == 0;
    if (lies)
      sums[random_.bits(row, 1) % count] ^= int64_t{1} << random_.bits(row, 2) % kLowestBits;
    observer_(row + 1, lies);
    return flag;
  }

 private:
  const KernelTable& honest_;
  const LieSettings settings_;
  const CounterRandom random_;
  const LieObserver observer_;
  KernelTable table_;
  std::atomic<uint64_t> rows_{0};
};

// Made by the first call.
Liar& only_liar(const KernelTable* honest, const LieSettings& settings, LieObserver observer) {
  static Liar liar(*honest, settings, std::move(observer));
  return liar;
}

bool lying_accumulate(const float* y, uint32_t count, float weight, int32_t bits, int64_t* sums) {
  return only_liar(nullptr, {}, {}).accumulate(y, count, weight, bits, sums);
}

}  // namespace

const KernelTable& lying_kernels(const KernelTable& honest, const LieSettings& settings,
                                 LieObserver observer) {
  KernelTable& table = only_liar(&honest, settings, std::move(observer)).table();
  table.accumulate = lying_accumulate;
  return table;
}

}  // namespace potluck::test
