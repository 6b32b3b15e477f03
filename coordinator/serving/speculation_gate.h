// SpeculationGate: how many drafted tokens each answer of the next step gets, so that all together
// are faster for it and none is slower. It knows numbers alone: how likely drafted tokens are to be
// chosen, and what steps have taken. Its clock is what it is told.
//
// It drafts where the tokens to be expected are worth the longer step, by the times of steps of so
// many rows, measured while it goes. What it loses where that was wrong, it pays from an account
// that is filled by a hundredth of all time: with less than nothing there, nothing is drafted. So
// no stretch of text costs more than that and a few steps, and what has not paid is tried again
// rarely. Owned by Speculation; its thread.
#pragma once

#include <span>
#include <vector>

#include "coordinator/runtime/speculation_rule.h"
#include "coordinator/serving/step_times.h"

namespace potluck {

// What may be drafted for one answer.
struct DraftOffer {
  uint32_t tokens = 0;   // that are proposed
  double chance = 0;     // of each, that it is chosen if those before it were
  Duration drafting{0};  // what drafting takes, for each of them; for all answers at once
};

// One answer's view of a step that has ended.
struct SpeculatedStep {
  uint32_t answers = 0;  // in the step, each with one row of its own
  uint32_t rows = 0;     // in the step, with the drafted ones
  uint32_t tokens = 0;   // that this answer got of it
  Duration time{0};      // of the step, drafting included
  Duration drafting{0};  // of that
  TimePoint begun{0};    // tells steps apart
};

class SpeculationGate {
 public:
  // Drafted rows of a step, of one answer and in all.
  static constexpr uint32_t kMostDrafted = 12;
  static constexpr uint32_t kMostRows = kMostDraftedRows;

  // For each answer, how many of its tokens to draft.
  std::vector<uint32_t> choose(std::span<const DraftOffer> offers) const;
  // The same without looking at any time: all, as far as there is room.
  static std::vector<uint32_t> choose_all(std::span<const DraftOffer> offers);

  void note(const SpeculatedStep& step);

 private:
  struct Choice {
    std::vector<uint32_t> drafted;
    uint32_t rows = 0;  // drafted, in all
    double total = 0;   // tokens that are to be expected of a step
    double least = 0;   // of these, of the answer that gets the fewest
    Duration drafting{0};
  };

  static Choice with_most(std::span<const DraftOffer> offers, uint32_t most, double least_chance);

  StepTimes times_;
  double account_ = 0;  // nanoseconds
  double most_ = 0;     // that drafts may have there
  bool is_open_ = false;
  TimePoint last_begun_{-1};
};

}  // namespace potluck
