#include "coordinator/serving/http/first_call_writer.h"

#include <algorithm>

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
  if (delta == nullptr) return writer_->take(choice, event);
  CompletionDelta first = *delta;
  std::vector<ToolCallGrowth>& growth = first.piece.growth;
  growth.erase(std::ranges::find_if(growth,
                                    [&](const ToolCallGrowth& grown) {
                                      return grown.begins && !begun_.insert(choice).second;
                                    }),
               growth.end());
  if (!first.piece.calls.empty()) {
    called_.insert(choice);
    first.piece.calls.resize(1);
  }
  return writer_->take(choice, first);
}

}  // namespace potluck
