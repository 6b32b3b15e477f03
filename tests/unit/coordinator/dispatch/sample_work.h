// Batches and workers for tests of dispatch, without a model: the contribution of a grain to a row
// is a plain function of their names and of the row's activations, so that an answer tells exactly
// what was computed into it, and how often. One thread.
#pragma once

#include <vector>

#include "coordinator/cluster/membership.h"
#include "coordinator/dispatch/dispatcher.h"
#include "engine/base/random.h"
#include "engine/experts/executor.h"
#include "engine/experts/manifest.h"

namespace potluck::test {

// A batch that owns its memory. Row r holds the values r + 1, r + 1.25, r + 1.5, ..; its fraction
// bits are 10 + r.
class NumberedBatch {
 public:
  // Every row asks for top_k different experts, the first of them drawn by `seed`; their number is
  // no multiple of 3.
  NumberedBatch(const Manifest& manifest, uint32_t layer, uint32_t tokens, uint32_t top_k,
                uint64_t seed = 1);
  NumberedBatch(const NumberedBatch&) = delete;
  NumberedBatch& operator=(const NumberedBatch&) = delete;

  ExpertBatch& batch() { return batch_; }
  ExpertSums sums;  // where the answer goes
  // What the answer must be.
  std::vector<int64_t> expected() const;
  uint64_t unit_calls(uint32_t slices) const;

 private:
  const Manifest& manifest_;
  std::vector<float> values_;
  std::vector<int32_t> fraction_bits_;
  std::vector<uint32_t> experts_;
  std::vector<float> weights_;
  ExpertBatch batch_;
};

struct Answer {
  Partial partial;
  ByteVector tensor;
};

// What an honest worker answers.
Answer answer_to(const Manifest& manifest, const OutgoingMessage& outgoing);
// Replaces the tensor frame by these sums, with a checksum that fits.
void replace_sums(Answer* answer, std::span<const int64_t> sums);
void fix_checksum(Answer* answer);
const Compute& compute_of(const OutgoingMessage& outgoing);

// Does the work as the coordinator's last resort would.
void compute_locally(const Manifest& manifest, const LocalWork& work);

}  // namespace potluck::test
