// The border between the layer loop and whoever computes experts. `forward` yields an ExpertBatch,
// an ExpertExecutor takes it and answers later with ExpertSums. Solo, simulator and pool differ
// only in which executor is passed in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/kernels/activations.h"

namespace potluck {

// What one MoE layer asks of its experts, for one step's token rows. Views into the step's scratch:
// valid until the answer was taken.
struct ExpertBatch {
  uint32_t layer = 0;
  uint32_t top_k = 0;
  ActivationView input;  // [tokens, hidden], in the layer's ExpertShape::input_form()
  std::span<const int32_t> fraction_bits;  // [tokens]: F = 24 - exponent(max |residual|)
  std::span<const uint32_t> experts;       // [tokens, top_k], each below the layer's experts
  std::span<const float> weights;          // [tokens, top_k]: the router's gate weights
  // Experts that layer + 1 is likely to ask for, perhaps several times; often empty. A hint for
  // disks.
  std::span<const uint32_t> forecast = {};

  uint32_t tokens() const { return input.tokens; }
};

// The routed sum as fixed-point integers: value = sum * 2^-fraction_bits. Integers add up to the
// same total in any grouping, so who computed what cannot show.
struct ExpertSums {
  std::vector<int64_t> sums;   // [tokens, hidden]
  std::vector<uint8_t> flags;  // [tokens]: 1 where an addend left its range; that token must fail

  void reset(uint32_t tokens, uint32_t hidden) {
    sums.assign(uint64_t{tokens} * hidden, 0);
    flags.assign(tokens, 0);
  }
};

class ExpertExecutor {
 public:
  using Ticket = uint64_t;

  virtual ~ExpertExecutor() = default;

  // Whether a forecast of the next layer's experts in the batches is of any use here and now.
  virtual bool wants_forecast() const { return false; }

  // Takes the batch. `out` is written until the ticket is done; both must stay alive and in place.
  virtual Ticket submit(const ExpertBatch& batch, ExpertSums* out) = 0;
  // True once wait() would not block; lets work go on meanwhile.
  virtual bool done(Ticket ticket) = 0;
  // Returns when `out` is complete, or with the reason why it never will be. Ends the ticket.
  virtual Status wait(Ticket ticket) = 0;
};

}  // namespace potluck
