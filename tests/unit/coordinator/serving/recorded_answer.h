// RecordedAnswer: a CompletionSink that remembers what it was told, and complains when that comes
// out of order. For tests; one thread.
#pragma once

#include <optional>

#include <gtest/gtest.h>

#include "coordinator/serving/completion.h"

namespace potluck::test {

class RecordedAnswer final : public CompletionSink {
 public:
  void on_event(const CompletionEvent& event) override {
    EXPECT_FALSE(is_done()) << "an event after the last one";
    if (const auto* admission = std::get_if<CompletionAdmitted>(&event)) {
      EXPECT_FALSE(admitted);
      admitted = *admission;
    } else if (const auto* failure = std::get_if<CompletionFailed>(&event)) {
      failed = *failure;
    } else {
      EXPECT_TRUE(admitted);
      take(event);
    }
  }

  bool is_done() const { return finished || failed; }

  std::optional<CompletionAdmitted> admitted;
  std::vector<CompletionQueued> queued;
  std::vector<CompletionProgress> progress;
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
  std::vector<TokenId> tokens;
  std::vector<ChosenLogprob> logprobs;
  std::optional<CompletionFinished> finished;
  std::optional<CompletionFailed> failed;

 private:
  void take(const CompletionEvent& event) {
    if (const auto* place = std::get_if<CompletionQueued>(&event)) {
      EXPECT_TRUE(progress.empty() && tokens.empty()) << "it does not wait any more";
      queued.push_back(*place);
    }
    if (const auto* step = std::get_if<CompletionProgress>(&event)) progress.push_back(*step);
    if (const auto* end = std::get_if<CompletionFinished>(&event)) finished = *end;
    const auto* delta = std::get_if<CompletionDelta>(&event);
    if (delta == nullptr) return;
    reasoning += delta->piece.reasoning;
    content += delta->piece.content;
    calls.insert(calls.end(), delta->piece.calls.begin(), delta->piece.calls.end());
    tokens.insert(tokens.end(), delta->tokens.begin(), delta->tokens.end());
    logprobs.insert(logprobs.end(), delta->logprobs.begin(), delta->logprobs.end());
  }
};

}  // namespace potluck::test
