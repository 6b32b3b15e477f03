// Speculation: drafts what may come next in answers, so that several tokens of one can be verified
// in one step. What an answer says does not depend on it. Follows each answer, proposes by
// what stood there before (prompt_lookup.h), remembers how often that was right, and lets the gate
// decide how much of it is computed. Owned by the CompletionEngine; its thread.
#pragma once

#include <map>
#include <memory>

#include "coordinator/runtime/speculation_rule.h"
#include "coordinator/serving/completion.h"
#include "coordinator/serving/speculation_gate.h"
#include "engine/model/prompt_lookup.h"

namespace potluck {

struct SpeculationCounts {
  uint64_t drafted = 0;   // tokens that were computed in case they come next
  uint64_t accepted = 0;  // of these, those that did
};

// How likely proposed tokens are to be chosen, by how many tokens before them were the same. Of the
// last ones mostly. Plain value.
class ProposalRecord {
 public:
  void note(uint32_t matched, bool was_chosen);
  double chance(uint32_t matched) const;

 private:
  struct Tries {
    double right = 1;  // before any is known, it is as likely as not
    double all = 2;
  };
  static size_t kind(uint32_t matched);

  std::array<Tries, 4> tries_;
};

class Speculation {
 public:
  explicit Speculation(SpeculationRule rule) : rule_(rule) {}

  bool is_on() const { return rule_ != SpeculationRule::kOff; }

  // An answer of which one token is due.
  struct Answer {
    CompletionId id = 0;
    std::span<const TokenId> tokens;  // its prompt and what was chosen; one is not computed so far
    uint32_t most_positions = 0;      // that it may ever have
    uint32_t most_drafted = 0;        // now
  };
  // What to compute beside what is due, of answers that share the next step.
  std::vector<std::vector<TokenId>> draft(std::span<const Answer> answers);
  // A step has ended, with so many drafted rows of this answer, of which so many were chosen.
  // Without answers, if prompts were computed in it: what drafts cost then says nothing of other
  // steps.
  void note(const SpeculatedStep& step, uint32_t drafted, uint32_t accepted);
  // The answer has ended, or waits.
  void forget(CompletionId id) { tracks_.erase(id); }

  const SpeculationCounts& counts() const { return counts_; }

 private:
  // An answer, and what was proposed of it and is not decided.
  struct Track {
    explicit Track(uint32_t positions) : lookup(positions) {}

    PromptLookup lookup;
    ProposalRecord record;
    LookupProposal proposal;
    size_t next = 0;   // of the proposal, which token is looked at next
    size_t begin = 0;  // where it begins in the text
  };

  Track& follow(const Answer& answer);
  static void compare(Track& track, std::span<const TokenId> tokens);

  SpeculationRule rule_;
  SpeculationGate gate_;
  SpeculationCounts counts_;
  std::map<CompletionId, std::unique_ptr<Track>> tracks_;
};

}  // namespace potluck
