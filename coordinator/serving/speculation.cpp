#include "coordinator/serving/speculation.h"

#include <algorithm>

#include "engine/model/recurrent_state.h"

namespace potluck {
namespace {

// A recurrent state goes back into a step of so many rows, drafted ones and the one that was due.
static_assert(SpeculationGate::kMostDrafted + 1 <= RecurrentState::kLoggedRows);

// What is remembered of earlier tries with each new one: some forty count.
constexpr double kKept = 0.975;

}  // namespace

size_t ProposalRecord::kind(uint32_t matched) {
  if (matched < 4) return 0;
  if (matched < 8) return 1;
  return matched < PromptLookup::kMostMatched ? 2 : 3;
}

void ProposalRecord::note(uint32_t matched, bool was_chosen) {
  Tries& tries = tries_[kind(matched)];
  tries.right = kKept * tries.right + (was_chosen ? 1 : 0);
  tries.all = kKept * tries.all + 1;
}

double ProposalRecord::chance(uint32_t matched) const {
  const Tries& tries = tries_[kind(matched)];
  return tries.right / tries.all;
}

Speculation::Track& Speculation::follow(const Answer& answer) {
  std::unique_ptr<Track>& track = tracks_[answer.id];
  if (track == nullptr) track = std::make_unique<Track>(answer.most_positions);
  compare(*track, answer.tokens);
  track->lookup.update(answer.tokens);
  return *track;
}

// Proposals are compared whether or not any of them was drafted: knowing how good they are costs
// nothing.
void Speculation::compare(Track& track, std::span<const TokenId> tokens) {
  const LookupProposal& proposal = track.proposal;
  while (track.next < proposal.tokens.size() && track.begin + track.next < tokens.size()) {
    const bool was_chosen = tokens[track.begin + track.next] == proposal.tokens[track.next];
    track.record.note(proposal.matched, was_chosen);
    track.next = was_chosen ? track.next + 1 : proposal.tokens.size();
  }
}

std::vector<std::vector<TokenId>> Speculation::draft(std::span<const Answer> answers) {
  std::vector<DraftOffer> offers;
  std::vector<std::vector<TokenId>> drafts;
  for (const Answer& answer : answers) {
    Track& track = follow(answer);
    LookupProposal found = track.lookup.propose(answer.tokens, SpeculationGate::kMostDrafted);
    const auto count = static_cast<uint32_t>(found.tokens.size());
    offers.push_back(
        {std::min(count, answer.most_drafted), track.record.chance(found.matched), Duration(0)});
    drafts.push_back(found.tokens);
    if (track.next < track.proposal.tokens.size()) continue;
    track.proposal = std::move(found);
    track.next = 0;
    track.begin = answer.tokens.size();
  }
  const std::vector<uint32_t> chosen = rule_ == SpeculationRule::kAlways
                                           ? SpeculationGate::choose_all(offers)
                                           : gate_.choose(offers);
  for (size_t i = 0; i < drafts.size(); ++i) drafts[i].resize(chosen[i]);
  return drafts;
}

void Speculation::note(const SpeculatedStep& step, uint32_t drafted, uint32_t accepted) {
  counts_.drafted += drafted;
  counts_.accepted += accepted;
  if (rule_ == SpeculationRule::kMeasured && step.answers > 0) gate_.note(step);
}

}  // namespace potluck
