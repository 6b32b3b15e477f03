#include "coordinator/serving/speculation_gate.h"

#include <algorithm>
#include <cmath>

namespace potluck {
namespace {

// Less than this is within what measuring errs by.
constexpr double kLeastGain = 1.04;
// No answer may be slower by more than this for the others' sake.
constexpr double kLeastShare = 0.99;
// Below this a drafted token is a row in vain, however cheap rows are.
constexpr double kLeastChance = 0.15;
// While no step with drafts has been measured.
constexpr uint32_t kFirstRows = 3;
// The account is filled by this share of all time, and begins with so many steps. It holds up to so
// many, or what a few drafts like the last one lose where all of it is wrong: one that was is no
// reason to stop.
constexpr double kShareForTrials = 0.01;
constexpr double kFirstSteps = 1;
constexpr double kMostSteps = 3;
constexpr double kMostDrafts = 2;

// Of so many drafted tokens, those that are to be expected to be chosen.
double expected(double chance, uint32_t drafted) {
  double sum = 0;
  double all = 1;
  for (uint32_t i = 0; i < drafted; ++i) sum += all *= chance;
  return sum;
}

}  // namespace

SpeculationGate::Choice SpeculationGate::with_most(std::span<const DraftOffer> offers,
                                                   uint32_t most, double least_chance) {
  Choice choice;
  choice.drafted.reserve(offers.size());
  for (const DraftOffer& offer : offers) {
    uint32_t drafted = offer.chance < least_chance ? 0 : std::min(most, offer.tokens);
    drafted = std::min(drafted, kMostRows - choice.rows);
    choice.drafted.push_back(drafted);
    choice.rows += drafted;
    const double tokens = 1 + expected(offer.chance, drafted);
    choice.least = choice.total == 0 ? tokens : std::min(choice.least, tokens);
    choice.total += tokens;
    choice.drafting = std::max(choice.drafting, offer.drafting * drafted);
  }
  return choice;
}

std::vector<uint32_t> SpeculationGate::choose_all(std::span<const DraftOffer> offers) {
  return with_most(offers, kMostDrafted, 0).drafted;
}

std::vector<uint32_t> SpeculationGate::choose(std::span<const DraftOffer> offers) const {
  const auto answers = static_cast<uint32_t>(offers.size());
  std::vector<uint32_t> best(answers, 0);
  const auto plain = times_.measured(answers);
  if (!plain || *plain <= 0 || account_ < 0) return best;
  // What was measured of a few rows says little of many.
  const uint32_t known = times_.most_known(answers) - answers;
  const uint32_t most_rows = std::max(kFirstRows * answers, 2 * known);
  double best_speed = kLeastGain * answers;
  for (uint32_t most = 1; most <= kMostDrafted; ++most) {
    Choice choice = with_most(offers, most, kLeastChance);
    if (choice.rows == 0 || choice.rows > most_rows) break;
    const double time = times_.estimate(answers, answers + choice.rows) +
                        static_cast<double>(choice.drafting.count());
    const double share = *plain / time;
    if (choice.least * share < kLeastShare || choice.total * share <= best_speed) continue;
    best_speed = choice.total * share;
    best = std::move(choice.drafted);
  }
  return best;
}

void SpeculationGate::note(const SpeculatedStep& step) {
  // Each answer of a step is told of; its time counts once.
  if (step.begun != last_begun_) times_.note(step.rows, step.time - step.drafting);
  last_begun_ = step.begun;
  const auto plain = times_.measured(step.answers);
  if (!plain) return;
  if (!is_open_) account_ = kFirstSteps * *plain;
  is_open_ = true;
  const auto time = static_cast<double>(step.time.count());
  double change = kShareForTrials * time;
  // What a step computes by itself and a drafted one beside it takes no longer than one by one:
  // more is some other program's doing.
  const uint32_t drafted = step.rows - step.answers;
  if (drafted > 0) {
    const double counted = std::min(time, *plain * (1 + drafted));
    change += *plain * step.tokens - counted;
    most_ = kMostDrafts * (counted - *plain);
  }
  account_ = std::min(account_ + change / step.answers, std::max(most_, kMostSteps * *plain));
}

}  // namespace potluck
