// UnitCompute: answers Compute messages: compares them with the manifest, runs the kernels over a
// pool's grains and packs the sums. Stateless from one message to the next (the buffers are
// scratch), so the same request gives the same answer. Many rows are computed in blocks, so that
// the sums of all threads stay within kSumsBytes. One thread.
#pragma once

#include <optional>

#include "engine/base/clock.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/stored_source.h"
#include "protocol/message.h"

namespace potluck {

// Whether a Compute fits the manifest and the slices of the assignment: layer, form, columns, size
// of the frame, and every call's expert and slice. The error says what was expected and found.
Status check_compute(const Compute& request, uint64_t frame_bytes, const Manifest& manifest,
                     uint32_t slices);

class UnitCompute {
 public:
  // Bound on the fixed-point sums of all threads together. Part of the 64 MiB that a worker may use
  // beyond its --ram.
  static constexpr uint64_t kSumsBytes = 24 * kMiB;

  // All must outlive the object.
  UnitCompute(const KernelTable& kernels, ThreadPool& threads, const Clock& clock);

  struct Failure {
    std::optional<GrainId> grain;  // what the source could not give; none: the frame is malformed
    Error error;
  };

  // Computes a request that passed check_compute(): fills the flags and timings of `partial` and
  // `sums` with the packed rows in the order of the request. Otherwise says what went wrong, and
  // nothing of the two may be used.
  std::optional<Failure> run(const Compute& request, ByteSpan frame, const ManifestLayer& layer,
                             StoredSource& source, Partial* partial, ByteVector* sums);

  // Rows computed at once, for this hidden size; a multiple of what makes whole groups of sums.
  uint32_t rows_per_block(uint32_t hidden) const;

 private:
  struct Block;  // rows [first, first + count) of a request
  Status run_block(const Block& block, GrainSource& source);

  const Clock& clock_;
  uint64_t threads_;
  ExpertCompute compute_;
  ActivationBuffer input_;              // [block, hidden]
  ExpertSums sums_;                     // [block, hidden]
  std::vector<int32_t> fraction_bits_;  // [block]
  std::vector<ExpertCall> calls_;       // of the block
};

}  // namespace potluck
