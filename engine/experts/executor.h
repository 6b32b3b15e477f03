// The border between the layer loop and the devices that compute experts. `forward` yields an
// ExpertBatch, an ExpertExecutor takes it and answers later with ExpertSums. Solo, simulator and
// pool differ only in which executor is passed in.
//
// Nothing here waits for one answer: batches of several steps may be under way at once, and their
// answers are fetched as they come, in any order. Where there is nothing else to do, turn() lets
// time pass (engine/model/step_run.h). An executor belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/experts/want.h"
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
  // Experts that layer + 1 is likely to ask for, ascending; often empty. A hint for disks.
  std::span<const uint32_t> prefetch = {};

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

  // Whether experts are read from disks: then a step costs nearly the whole model, whatever its
  // rows.
  virtual bool uses_disks() const { return false; }
  // Which of the next layer's likely experts it is of any use to name in the batches, here and now.
  virtual ReadAhead read_ahead() const { return ReadAhead::kOff; }

  // Takes the batch. `out` is written until the ticket ends; both must stay alive and in place. No
  // ticket is given twice.
  virtual Ticket submit(const ExpertBatch& batch, ExpertSums* out) = 0;
  // How the batch came out, as soon as that is known: `out` is complete, or why it never will be.
  // Ends the ticket. Only looks: neither waits nor computes. Asked by ticket, so that two users of
  // one executor do not take each other's answers.
  virtual std::optional<Status> take_completed(Ticket ticket) = 0;
  // Moves what is under way on, in the caller's thread: sends, handles what has come, computes what
  // is left to this device. If there is nothing to do, waits for news, but not longer than
  // `longest`. Only of use while take_completed() has nothing.
  virtual void turn(Duration longest) = 0;
  // Ends a ticket whose answer is not wanted any more.
  virtual void cancel(Ticket ticket) = 0;

  // Grows when a device is found to have computed something wrong. What it computed before may be
  // in the steps under way: one during which this has grown has to be repeated from its beginning
  // before anything of it is used.
  virtual uint64_t distrusts() const { return 0; }
  virtual void step_repeated() {}  // for the counts
};

}  // namespace potluck
