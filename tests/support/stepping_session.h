// SteppingSession: a greedy conversation with a Forward and a cache of its own, whose steps are
// carried on whenever its owner says so, for tests that have several in flight. One thread.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/model/sampler.h"
#include "engine/model/step_run.h"

namespace potluck::test {

class SteppingSession {
 public:
  // Runs the prompt in steps of `chunk` rows, then `tokens` tokens. All must outlive the session.
  SteppingSession(const Model& model, const KernelTable& kernels, ThreadPool& threads,
                  std::vector<TokenId> prompt, uint32_t tokens, uint32_t chunk)
      : forward_(model, kernels, threads),
        cache_(model.config(), KvType::kF32, static_cast<uint32_t>(prompt.size()) + tokens + 1),
        next_(std::move(prompt)),
        left_(tokens),
        chunk_(chunk) {}

  bool finished() const { return !run_ && next_.empty(); }
  bool under_way() const { return run_.has_value(); }

  // Begins a step, or carries it on if its answer is there. Returns whether anything happened.
  bool go_on(ExpertExecutor& executor) {
    if (!run_) return begin(executor);
    if (!run_->finished()) return run_->poll();
    EXPECT_TRUE(run_->status()) << run_->status().error().message;
    bool failed = !run_->status();
    run_.reset();
    if (failed) next_.clear();
    if (next_.empty() && !failed) sample();
    return true;
  }

  const std::vector<TokenId>& tokens() const { return tokens_; }
  // Of every step that ended a prompt or chose a token, one after the other.
  const std::vector<float>& logits() const { return logits_; }

 private:
  bool begin(ExpertExecutor& executor) {
    if (next_.empty()) return false;
    size_t count = std::min<size_t>(chunk_, next_.size());
    rows_.clear();
    for (size_t i = 0; i < count; ++i) {
      auto position = cache_.length() + static_cast<uint32_t>(i);
      rows_.push_back({next_[i], position, &cache_, i + 1 == next_.size()});
    }
    next_.erase(next_.begin(), next_.begin() + static_cast<ptrdiff_t>(count));
    run_.emplace(forward_, rows_, executor);
    return true;
  }

  void sample() {
    std::span<const float> logits = forward_.logits(0);
    logits_.insert(logits_.end(), logits.begin(), logits.end());
    if (left_ == 0) return;
    --left_;
    tokens_.push_back(argmax(logits));
    next_ = {tokens_.back()};
  }

  Forward forward_;
  KvCache cache_;
  std::vector<TokenId> next_;
  uint32_t left_;
  uint32_t chunk_;
  std::vector<ForwardRow> rows_;
  std::optional<StepRun> run_;
  std::vector<TokenId> tokens_;
  std::vector<float> logits_;
};

// Carries all of them to their ends over one executor, in turns. Returns how often all that were
// left, and at least two, waited for answers at the same time.
inline size_t run_interleaved(std::span<SteppingSession* const> sessions,
                              ExpertExecutor& executor) {
  size_t waits_together = 0;
  auto finished = [](const SteppingSession* session) { return session->finished(); };
  while (!std::all_of(sessions.begin(), sessions.end(), finished)) {
    bool moved = false;
    for (SteppingSession* session : sessions) moved = session->go_on(executor) || moved;
    if (moved) continue;
    waits_together += std::count_if(sessions.begin(), sessions.end(),
                                    [](const auto* session) { return session->under_way(); }) > 1;
    executor.turn(std::chrono::milliseconds(100));
  }
  return waits_together;
}

}  // namespace potluck::test
