#include "coordinator/serving/http/first_call_writer.h"

#include <utility>

namespace potluck {

std::string FirstCallWriter::take(size_t choice, const CompletionEvent& event) {
  const auto* delta = std::get_if<CompletionDelta>(&event);
  if (called_.contains(choice)) {
    if (delta != nullptr) return {};
    const auto* finished = std::get_if<CompletionFinished>(&event);
    if (finished == nullptr) return writer_->take(choice, event);
    // The call is whole, no matter where the rest ended.
    CompletionFinished called = *finished;
    called.reason = FinishReason::kToolCalls;
    return writer_->take(choice, called);
  }
  if (delta == nullptr || (delta->piece.calls.empty() && delta->piece.growth.empty())) {
    return writer_->take(choice, event);
  }
  CompletionDelta first = *delta;
  auto growth = std::exchange(first.piece.growth, {});
  for (ToolCallGrowth& grown : growth) {
    const bool is_next = grown.begins && !begun_.insert(choice).second;
    if (is_next) break;
    first.piece.growth.push_back(std::move(grown));
  }
  if (!first.piece.calls.empty()) {
    called_.insert(choice);
    first.piece.calls.resize(1);
  }
  return writer_->take(choice, first);
}

}  // namespace potluck
