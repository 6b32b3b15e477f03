// UnitCompute: answers Compute messages: compares them with the manifest, runs the kernels over a
// pool's grains and packs the sums. The same request gives the same answer, however it is cut into
// blocks: rows are packed in order, and sums are integers. One thread.
#pragma once

#include <optional>

#include "engine/base/clock.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/stored_source.h"
#include "protocol/message.h"
#include "worker/block_pace.h"
#include "worker/simulated_processor.h"

namespace potluck {

// Whether a Compute fits the manifest and the slices of the assignment: layer, form, columns, size
// of the frame and of the answer, and every call's expert and slice. The error says what was
// expected and found.
Status check_compute(const Compute& request, uint64_t frame_bytes, const Manifest& manifest,
                     uint32_t slices);

// A request and how far it is computed. Its memory is used again for the next one.
class UnitJob {
 public:
  // Takes over a request that passed check_compute().
  void begin(Compute request, ByteVector frame);

  const Compute& request() const { return request_; }
  bool done() const { return first_ == request_.rows.size(); }
  // The answer: flags, timings and packed sums, complete once done() is true.
  Partial partial;
  ByteVector sums;

 private:
  friend class UnitCompute;

  Compute request_;
  ByteVector frame_;
  uint32_t first_ = 0;                  // row of the range that is being computed
  uint32_t rows_ = 0;                   // of the range; 0: none yet
  size_t next_ = 0;                     // call of the range
  ActivationBuffer input_;              // [rows, hidden]
  ExpertSums range_sums_;               // [rows, hidden]
  std::vector<int32_t> fraction_bits_;  // [rows]
  std::vector<ExpertCall> calls_;       // of the range
};

class UnitCompute {
 public:
  // Bound on the fixed-point sums of all threads together. Part of the 64 MiB that a worker may use
  // beyond its --ram. (Each pool has the sums of one range of rows besides, at most
  // limits::kTensorBytes.)
  static constexpr uint64_t kSumsBytes = 24 * kMiB;

  // All must outlive the object.
  UnitCompute(const KernelTable& kernels, ThreadPool& threads, const Clock& clock,
              std::optional<SimulatedProcessor> processor = std::nullopt);

  struct Failure {
    std::optional<GrainId> grain;  // what the source could not give; none: the frame is malformed
    Error error;
  };
  struct Block {
    Duration took{0};  // for a simulated processor: what it would have
    std::optional<Failure> failure;
  };

  // Computes as much of the job as is likely to take the budget, at least something, in one range
  // of rows. After a failure nothing of the answer may be used.
  Block run_block(UnitJob& job, const ManifestLayer& layer, StoredSource& source, Duration budget);

  // Rows computed at once, for this hidden size; a multiple of what makes whole groups of sums.
  uint32_t rows_per_range(uint32_t hidden) const;

 private:
  Status open_range(UnitJob& job, const ManifestLayer& layer) const;
  static void close_range(UnitJob& job);
  // How many calls the next block has; sorts them if they do not all fit.
  size_t next_calls(UnitJob& job, const ManifestLayer& layer, Duration budget);
  size_t fitting_calls(const UnitJob& job, const ManifestLayer& layer, Duration budget);

  const Clock& clock_;
  uint64_t threads_;
  ExpertCompute compute_;
  std::optional<SimulatedProcessor> processor_;
  BlockPace pace_;
};

}  // namespace potluck
