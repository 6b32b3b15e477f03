#include "simulator/timed_executor.h"

#include <algorithm>

namespace potluck::sim {

void TimedExecutor::begin(TimePoint deadline) {
  deadline_ = deadline;
  is_to_end_ = false;
  gave_up_.clear();
  pool_.core().dispatcher().keep_answers(true);
  (void)pool_.core().dispatcher().take_answers();
  local_calls_ = pool_.core().dispatcher().statistics().local_unit_calls;
}

ExpertExecutor::Ticket TimedExecutor::submit(const ExpertBatch& batch, ExpertSums* out) {
  if (attention_ > Duration::zero()) pool_.compute_for(attention_);
  terms_.attention += attention_;
  submitted_at_ = pool_.clock().now();
  return pool_.executor().submit(batch, out);
}

void TimedExecutor::turn(Duration longest) {
  Dispatcher& dispatcher = pool_.core().dispatcher();
  bool any = false;
  while (!has_weights_) {
    std::optional<LocalWork> work = dispatcher.take_local_work();
    if (!work) break;
    dispatcher.local_done(work->ticket);
    any = true;
  }
  if (!any) pool_.executor().turn(longest);
}

std::optional<Status> TimedExecutor::take_completed(Ticket ticket) {
  charge_local_work();
  std::optional<Status> completed = pool_.executor().take_completed(ticket);
  if (completed) {
    add_up();
    return completed;
  }
  if (is_to_end_) {
    gave_up_ = "the coordinator ends";
  } else if (pool_.clock().now() >= deadline_) {
    gave_up_ = "an answer takes longer than the scenario's patience";
  } else {
    return std::nullopt;
  }
  pool_.executor().cancel(ticket);
  return Status(Error{ErrorCode::kCancelled, gave_up_});
}

// The coordinator computes these in no time at all; a real one has to read them first.
void TimedExecutor::charge_local_work() {
  uint64_t calls = pool_.core().dispatcher().statistics().local_unit_calls;
  uint64_t more = calls - std::min(calls, local_calls_);
  local_calls_ = calls;
  if (more > 0) pool_.compute_for(static_cast<Duration::rep>(more) * local_call_);
}

void TimedExecutor::add_up() {
  Duration waited = pool_.clock().now() - submitted_at_;
  std::vector<WorkerAnswer> answers = pool_.core().dispatcher().take_answers();
  auto last = std::max_element(
      answers.begin(), answers.end(),
      [](const WorkerAnswer& a, const WorkerAnswer& b) { return a.taken_at < b.taken_at; });
  Duration disk{0};
  Duration compute{0};
  if (last != answers.end()) {
    disk = std::min(waited, Duration(static_cast<Duration::rep>(last->work.disk)));
    compute = std::min(waited - disk, Duration(static_cast<Duration::rep>(last->work.compute)));
  }
  terms_.disk += disk;
  terms_.compute += compute;
  terms_.wire += waited - disk - compute;
}

}  // namespace potluck::sim
