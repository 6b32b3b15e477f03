#include "engine/model/step_run.h"

#include <algorithm>
#include <utility>

namespace potluck {
namespace {

// An answer ends a turn at once; this bounds how long one without any may be.
constexpr Duration kLongestTurn = std::chrono::milliseconds(100);

}  // namespace

StepRun::StepRun(Forward& forward, std::span<const ForwardRow> rows, ExpertExecutor& executor)
    : forward_(forward), rows_(rows), executor_(executor) {
  begin();
}

void StepRun::begin() {
  distrusts_ = executor_.distrusts();
  forward_.begin(rows_);
  forward_.set_read_ahead(executor_.read_ahead());
  go_on();
}

StepRun::~StepRun() {
  if (ticket_) executor_.cancel(*ticket_);
}

bool StepRun::poll() {
  if (!ticket_) return false;
  std::optional<Status> answered = executor_.take_completed(*ticket_);
  if (!answered) return false;
  ticket_.reset();
  if (is_doubtful()) {
    // Also what failed: that may have come of a wrong answer.
    begin_again();
  } else if (*answered) {
    forward_.supply(forward_.sums());
    go_on();
  } else {
    status_ = *std::move(answered);
  }
  return true;
}

bool StepRun::is_doubtful() const {
  return executor_.distrusts() != distrusts_;
}

// There are only so many devices to be distrusted, so this ends.
void StepRun::begin_again() {
  executor_.step_repeated();
  begin();
}

void StepRun::go_on() {
  if (forward_.advance() == ForwardState::kDone) {
    // Once more: what was found while the last layers were computed counts as well.
    if (is_doubtful()) {
      begin_again();
    } else {
      status_ = end();
    }
    return;
  }
  ticket_ = executor_.submit(forward_.batch(), &forward_.sums());
  forward_.meanwhile();
}

Status StepRun::end() {
  reached_end_ = true;
  for (uint32_t row = 0; row < rows_.size(); ++row) {
    Status status = forward_.row_status(row);
    if (!status) return status;
  }
  fill_good_caches();
  return {};
}

void StepRun::fill_good_caches() {
  if (!reached_end_) return;
  bool is_good = true;  // so far, of this session
  for (uint32_t row = 0; row < rows_.size(); ++row) {
    is_good = is_good && forward_.row_status(row).ok();
    bool last_of_session = row + 1 == rows_.size() || rows_[row + 1].cache != rows_[row].cache;
    if (!last_of_session) continue;
    if (is_good) rows_[row].cache->set_length(rows_[row].position + 1);
    is_good = true;
  }
}

void run_to_end(std::span<StepRun* const> runs, ExpertExecutor& executor) {
  auto unfinished = [](const StepRun* run) { return !run->finished(); };
  while (std::any_of(runs.begin(), runs.end(), unfinished)) {
    bool moved = false;
    for (StepRun* run : runs) moved = run->poll() || moved;
    if (!moved) executor.turn(kLongestTurn);
  }
}

Status run_step(Forward& forward, std::span<const ForwardRow> rows, ExpertExecutor& executor) {
  StepRun run(forward, rows, executor);
  StepRun* const runs[] = {&run};
  run_to_end(runs, executor);
  return run.status();
}

}  // namespace potluck
