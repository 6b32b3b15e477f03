// ExpertCompute: the arithmetic of experts, the same code on coordinator and worker. For every call
// (token row, expert, grains) and every chunk of those grains:
//
//   h = activation(gate x + bias, up x + bias)      [chunk columns], f32
//   y = down h (+ bias, with chunk 0)               [hidden], f32; h quantized in blocks of 32
//   sums[row] += llrint(y * weight * 2^F)           int64: exact in any order
//
// Tokens are grouped by expert, so each grain is read once per batch; threads take (expert, grain)
// jobs and have sums of their own, added at the end. Owns scratch memory; one thread calls it.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/experts/executor.h"
#include "engine/experts/grain_source.h"
#include "engine/kernels/kernels.h"

namespace potluck {

// One token row that one expert's grains are applied to.
struct ExpertCall {
  uint32_t row = 0;  // of the input
  uint32_t expert = 0;
  GrainRange grains;
  float weight = 0;
};

class ExpertCompute {
 public:
  ExpertCompute(const KernelTable& kernels, ThreadPool& pool);
  ~ExpertCompute();

  // Adds all calls into `out`, which the caller has reset to input.tokens rows. Rows without calls
  // stay as they are. `shape` has passed check_expert_shape(), `input` is in shape.input_form() and
  // `fraction_bits` has one entry per row of it; rows and grains of the calls exist. Fails only
  // when the source does; `out` is then partly written. Grains are computed as they come, so those
  // that are in memory do not wait for those on disk.
  Status run(uint32_t layer, const ExpertShape& shape, const ActivationView& input,
             std::span<const int32_t> fraction_bits, std::span<const ExpertCall> calls,
             GrainSource& source, ExpertSums* out);

 private:
  struct Scratch;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

// Computes every batch at once, in the caller's thread (and its pool): solo runs.
class LocalExecutor final : public ExpertExecutor {
 public:
  // All must outlive the executor.
  LocalExecutor(const GrainCutter& cutter, GrainSource& source, ExpertCompute& compute)
      : cutter_(cutter), source_(source), compute_(compute) {}

  bool uses_disks() const override { return source_.uses_disk(); }
  ReadAhead read_ahead() const override { return source_.read_ahead(); }
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override;
  std::optional<Status> take_completed(Ticket ticket) override;
  void turn(Duration) override {}  // submit() has done everything
  void cancel(Ticket ticket) override { failures_.erase(ticket); }

 private:
  void prefetch(const ExpertBatch& batch);

  const GrainCutter& cutter_;
  GrainSource& source_;
  ExpertCompute& compute_;
  std::vector<ExpertCall> calls_;
  std::vector<GrainId> prefetch_;
  Ticket next_ticket_ = 1;
  std::unordered_map<Ticket, Error> failures_;  // of open tickets
};

}  // namespace potluck
