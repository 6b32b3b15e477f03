// Steps of the CompletionEngine that compute drafted tokens beside those that are due.
#include <algorithm>

#include "coordinator/serving/engine_request.h"

namespace potluck {

// While prompts are computed, they take most of a step, and what drafts cost beside them is not
// known.
void CompletionEngine::draft() {
  if (!speculation_.is_on()) return;
  std::vector<Speculation::Answer> answers;
  for (auto& [id, request] : requests_) {
    Session& session = request->session;
    if (request->has_ended || session.cache() == nullptr) continue;
    if (session.phase() == SessionPhase::kPrefill) return;
    if (!scheduler_.is_due(id) || driver_.is_under_way(id)) continue;
    answers.push_back({id, session.tokens(), session.cache()->capacity(), most_drafted(*request)});
  }
  std::vector<std::vector<TokenId>> drafts = speculation_.draft(answers);
  for (size_t i = 0; i < answers.size(); ++i) {
    scheduler_.set_drafted(answers[i].id, static_cast<uint32_t>(drafts[i].size()));
    requests_.at(answers[i].id)->session.set_draft(std::move(drafts[i]));
  }
}

// Steps end where a checkpoint is due, and that one has no drafts: it is of chosen tokens alone.
uint32_t CompletionEngine::most_drafted(const Request& request) const {
  if (request.has_failed_draft) return 0;
  const uint32_t next = request.session.computed() + 1;
  const uint32_t stop = supply_.regular_stop_from(next);
  return std::min(request.session.most_drafted(), stop == next ? 0 : stop - 1 - next);
}

void CompletionEngine::note_step(std::span<const StepPart> parts) {
  uint32_t rows = 0;
  bool are_answers = true;
  for (const StepPart& part : parts) {
    rows += static_cast<uint32_t>(part.tokens.size());
    const Session& session = requests_.at(part.id)->session;
    are_answers = are_answers && session.phase() == SessionPhase::kDecode;
  }
  for (const StepPart& part : parts) {
    Request& request = *requests_.at(part.id);
    request.step_begun = parts_.clock.now();
    request.step_answers = are_answers ? static_cast<uint32_t>(parts.size()) : 0;
    request.step_rows = rows;
  }
}

// The first row is the one that was due. Each further one counts if its token was chosen before it.
void CompletionEngine::choose(Request& request, const EndedPart& part) {
  const TimePoint ended = parts_.clock.now();
  note_pace(request);
  uint32_t row = 0;
  bool goes_on = true;
  do {
    if (request.session.answer_tokens() > 0) ++request.decode_steps;
    goes_on = choose_row(request, part.logits_of(row++));
  } while (goes_on && request.session.is_ahead());
  end_draft(request, row, ended);
  if (goes_on) scheduler_.go_on(request.id, 1, true);
}

// Of the rows of its last step that have logits, so many were chosen from.
void CompletionEngine::end_draft(Request& request, uint32_t chosen, TimePoint ended) {
  const uint32_t drafted = request.session.drafted();
  scheduler_.take_back(request.id, request.session.drop_draft());
  request.has_failed_draft = false;
  speculation_.note({request.step_answers, request.step_rows, chosen, ended - request.step_begun,
                     Duration(0), request.step_begun},
                    drafted, chosen - 1);
}

}  // namespace potluck
