// An expert of a usual shape, all of whose matrices have the format, is computed again and again
// from grains that lie side by side in memory. What the products compute does not matter.
#include "engine/experts/product_speed.h"

#include <algorithm>
#include <cstring>

#include "engine/experts/expert_compute.h"

namespace potluck {
namespace {

constexpr uint32_t kHidden = 2048;
constexpr uint32_t kWidth = 1024;
// How long one measurement takes; longer only where so few rounds are done by then, since the
// system may have taken the processor away in the middle of one.
constexpr Duration kTime = std::chrono::milliseconds(4);
constexpr Duration kLongestTime = std::chrono::milliseconds(60);
constexpr uint32_t kLeastRounds = 5;
constexpr uint32_t kMostRounds = 64;
// Of the memory, for many rows: they compute for so long with each weight that it does not matter
// where it comes from.
constexpr uint64_t kManyRowsBytes = 8 * kMiB;
// A number of a usual size in all formats, read as float16, float32 or a shared exponent.
constexpr int kFill = 0x3c;

// As many different grains as fit into the memory; the others stand for those again.
class FilledGrains final : public ImmediateSource {
 public:
  explicit FilledGrains(uint64_t grain_bytes)
      : grain_bytes_(grain_bytes),
        count_(std::max<uint64_t>(1, kProductSpeedBytes / grain_bytes)),
        memory_(count_ * grain_bytes) {
    std::memset(memory_.data(), kFill, memory_.size());
  }
  uint64_t count(uint64_t bytes) const { return std::min(count_, bytes / grain_bytes_); }

 private:
  Result<GrainView> fetch(GrainId id) override {
    uint64_t place = (id.expert * uint64_t{8} + id.grain) % count_;
    return GrainView{memory_.span().subspan(place * grain_bytes_, grain_bytes_), nullptr};
  }

  uint64_t grain_bytes_;
  uint64_t count_;
  Buffer memory_;
};

// One layer of the measurement: all grains that are in memory, for so many rows.
class Trial {
 public:
  Trial(TensorType format, const KernelTable& kernels, ThreadPool& threads, const Clock& clock)
      : clock_(clock),
        shape_(shape_of(format)),
        plan_(plan_chunks(shape_)),
        grains_(largest_grain_bytes(shape_, plan_)),
        compute_(kernels, threads) {}

  uint64_t measure(uint32_t rows);

 private:
  static ExpertShape shape_of(TensorType format) {
    ExpertShape shape;
    shape.hidden = kHidden;
    shape.width = kWidth;
    shape.gate = shape.up = shape.down = format;
    return shape;
  }
  std::vector<ExpertCall> calls(uint32_t rows) const;

  const Clock& clock_;
  ExpertShape shape_;
  ChunkPlan plan_;
  FilledGrains grains_;
  ExpertCompute compute_;
};

std::vector<ExpertCall> Trial::calls(uint32_t rows) const {
  uint64_t grains = grains_.count(rows == 1 ? kProductSpeedBytes : kManyRowsBytes);
  auto experts = static_cast<uint32_t>(std::max<uint64_t>(1, grains / plan_.grains));
  std::vector<ExpertCall> calls;
  for (uint32_t expert = 0; expert < experts; ++expert) {
    for (uint32_t row = 0; row < rows; ++row) {
      calls.push_back({row, expert, {0, plan_.grains}, 0.5F});
    }
  }
  return calls;
}

uint64_t Trial::measure(uint32_t rows) {
  ActivationBuffer input;
  input.reset(shape_.input_form(), rows, kHidden);
  std::fill(input.values().begin(), input.values().end(), 0.5F);
  std::fill(input.quants().begin(), input.quants().end(), int8_t{3});
  std::fill(input.scales().begin(), input.scales().end(), 0.01F);
  if (shape_.input_form() != ActivationForm::kF32) input.compute_sums();
  std::vector<int32_t> fraction_bits(rows, 0);
  std::vector<ExpertCall> work = calls(rows);
  uint64_t bytes = work.size() * expert_bytes(shape_, plan_);
  ExpertSums sums;
  sums.reset(rows, kHidden);
  // The best of several rounds: what else the device does meanwhile only makes a round longer.
  Duration best = Duration::max();
  TimePoint begin = clock_.now();
  for (uint32_t round = 0; round < kMostRounds; ++round) {
    TimePoint start = clock_.now();
    Status done = compute_.run(0, shape_, input.view(), fraction_bits, work, grains_, &sums);
    TimePoint end = clock_.now();
    if (!done) return 0;
    best = std::min(best, end - start);
    bool enough = end - begin >= kTime && round + 1 >= kLeastRounds;
    if (enough || end - begin >= kLongestTime || end == begin) break;
  }
  if (best <= Duration::zero() || best == Duration::max()) return 0;
  return static_cast<uint64_t>(static_cast<double>(bytes) / in_seconds(best));
}

}  // namespace

ProductSpeed measure_product_speed(TensorType format, const KernelTable& kernels,
                                   ThreadPool& threads, const Clock& clock) {
  Trial trial(format, kernels, threads, clock);
  return {format, trial.measure(1), trial.measure(kManyRows)};
}

}  // namespace potluck
