// A state machine over text that comes in any pieces. The same pieces cut differently give the same
// parts: what may still become a mark waits in pending_.
#include "engine/chat/reasoning.h"

#include <algorithm>

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr ReasoningMarks kKnownMarks[] = {
    {"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}};

}  // namespace

std::optional<ReasoningMarks> find_reasoning_marks(std::string_view template_source) {
  for (const ReasoningMarks& marks : kKnownMarks) {
    // The closing mark: every template of such a model looks for it, to cut the reasoning out of
    // earlier answers; not every one writes the opening one.
    if (template_source.find(marks.close) != std::string_view::npos) return marks;
  }
  return std::nullopt;
}

ReasoningSplitter::ReasoningSplitter(std::optional<ReasoningMarks> marks, std::string_view prompt)
    : marks_(marks) {
  if (!marks_) {
    state_ = State::kContent;
    // Templates of models that always think write the opening mark themselves; the answer never
    // shows it.
  } else if (without_space_at_end(prompt).ends_with(marks_->open)) {
    state_ = State::kReasoning;
    skips_space_ = true;
  }
}

void ReasoningSplitter::emit(std::string* into, size_t bytes) {
  std::string_view text = std::string_view(pending_).substr(0, bytes);
  if (skips_space_) {
    text.remove_prefix(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
    skips_space_ = text.empty();
  }
  *into += text;
  pending_.erase(0, bytes);
}

// One step on what is pending; false when more text is needed.
bool ReasoningSplitter::advance(SplitReasoning* piece) {
  if (state_ == State::kContent) {
    emit(&piece->content, pending_.size());
    return false;
  }
  if (state_ == State::kStart) {
    const size_t begin = pending_.find_first_not_of(kWhiteSpace);
    if (begin == std::string::npos) return false;
    const std::string_view rest = std::string_view(pending_).substr(begin);
    if (rest.starts_with(marks_->open)) {
      pending_.erase(0, begin + marks_->open.size());
      state_ = State::kReasoning;
      skips_space_ = true;
      return true;
    }
    if (marks_->open.starts_with(rest)) return false;
    state_ = State::kContent;
    return true;
  }
  const size_t close = pending_.find(marks_->close);
  if (close == std::string::npos) {
    emit(&piece->reasoning, pending_.size() - uncertain_end(pending_, marks_->close));
    return false;
  }
  const size_t reasoning = without_space_at_end(std::string_view(pending_).substr(0, close)).size();
  emit(&piece->reasoning, reasoning);
  pending_.erase(0, close - reasoning + marks_->close.size());
  state_ = State::kContent;
  skips_space_ = true;
  return true;
}

SplitReasoning ReasoningSplitter::push(std::string_view text) {
  SplitReasoning piece;
  pending_ += text;
  while (advance(&piece)) {
  }
  return piece;
}

SplitReasoning ReasoningSplitter::finish() {
  SplitReasoning piece;
  emit(state_ == State::kReasoning ? &piece.reasoning : &piece.content, pending_.size());
  return piece;
}

}  // namespace potluck
