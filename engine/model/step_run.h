// StepRun: a step of a Forward on its way over an ExpertExecutor. It hands each batch to the
// executor and goes on when the answer is there; it never waits. A step in which an answer may have
// been wrong begins anew (ExpertExecutor::distrusts()). Several runs, each with a Forward
// of its own, may be under way over one executor. run_to_end() is the one place that waits. One
// thread.
#pragma once

#include <optional>
#include <span>

#include "engine/model/forward.h"

namespace potluck {

class StepRun {
 public:
  // Begins the step and hands its first batch over. All must stay in place until the run ends.
  StepRun(Forward& forward, std::span<const ForwardRow> rows, ExpertExecutor& executor);
  ~StepRun();  // the answer of a run under way is not wanted any more; caches keep their lengths
  StepRun(const StepRun&) = delete;
  StepRun& operator=(const StepRun&) = delete;

  // If the answer is there: goes on to the next batch, or to the end. Returns whether it was.
  bool poll();
  bool finished() const { return !ticket_.has_value(); }
  double share_done() const { return forward_.share_done(); }
  // Valid when finished. On success the caches' lengths include the rows. Otherwise the error of
  // the executor, or of the first row that has one; the caches keep their lengths.
  const Status& status() const { return status_; }
  // Whether only rows have errors: Forward::row_status() says which.
  bool reached_end() const { return reached_end_; }
  // After errors of rows: lets the caches of sessions without one include their rows all the same.
  void fill_good_caches();

 private:
  void begin();
  void begin_again();
  bool is_doubtful() const;
  void go_on();
  Status end();

  Forward& forward_;
  std::span<const ForwardRow> rows_;
  ExpertExecutor& executor_;
  uint64_t distrusts_ = 0;                        // when the step began
  std::optional<ExpertExecutor::Ticket> ticket_;  // of the batch under way
  Status status_;
  bool reached_end_ = false;
};

// Carries all of them on to their ends; they run over this executor.
void run_to_end(std::span<StepRun* const> runs, ExpertExecutor& executor);

// Runs one step to its end. Returns its status().
Status run_step(Forward& forward, std::span<const ForwardRow> rows, ExpertExecutor& executor);

}  // namespace potluck
